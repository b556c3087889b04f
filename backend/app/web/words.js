/** What an answer that is no success means, in words for people: what happened, and what to do. */

import { ApiError, RETRY_SECONDS } from "./errors.js";
import { formatBytes } from "./format.js";

const SMALLER = "Send a smaller one.";
const SHORTLY = "Nothing is lost; try again shortly.";
const GONE = "This picture is no longer here: it was deleted, or its link is not complete.";
const NO_ANSWER = "The service does not answer. Try again shortly.";
const FULL =
  "The service is full. Delete pictures that are no longer needed, or ask whoever runs it to make room.";
const ELSEWHERE =
  "The service does not know the address at which this page is open. Ask whoever runs it to add that address to its settings.";

/** By the kind of the service's problem; what is not here is a defect, or came of one. */
const SENTENCES = {
  "cross-site-request": ELSEWHERE,
  "unknown-host": ELSEWHERE,
  "database-full": FULL,
  "storage-full": FULL,
  "image-not-found": GONE,
  "image-damaged": "The file of this picture is damaged. Ask whoever runs the service to restore it.",
  "invalid-file-type":
    "Invalid file type: the file is not a JPEG, PNG, GIF, WebP, AVIF or HEIC image. Convert it to one of them first.",
  "missing-scope": "Your key is not for this. Ask whoever runs the service for one that is.",
  "storage-quota-exceeded":
    "Your pictures take all the room that you have here. Delete some, or ask whoever runs the service for more.",
  "image-is-public": "This picture has become public. Copy its link again.",
  "upload-under-way": "The picture is still being saved.",
  "empty-file": "The file is empty. Choose another one.",
  "malformed-form": "The file did not arrive whole. Send it again.",
  "metadata-not-removable":
    "Camera and location data cannot be removed from this file. Convert it to JPEG, or send it with its data.",
  "body-too-large": `The file is larger than this service takes. ${SMALLER}`,
  "quota-exceeded":
    "You have added as many pictures as this service takes in an hour. Try again later.",
  "request-too-slow": "The connection was too slow, or broke. Try again.",
  "head-too-large": "Your browser sent too many cookies. Delete those of this site.",
  "no-answer": NO_ANSWER,
  "too-many-connections": "The service is busy. Try again shortly.",
  "not-ready": "The service is not ready. Try again shortly.",
  "database-unavailable": `The service's database does not answer. ${SHORTLY}`,
  "storage-unavailable": `The service's storage does not answer. ${SHORTLY}`,
};

/** By the name of the one input that the service refuses, or by where it was. */
const INPUTS = {
  q: "Search for at least one letter, digit or emoji.",
  filename: "A name needs a visible character that is no dot. Choose another one.",
  path: GONE,
};

/** Return the error of an answer: problem details (RFC 9457), or what a proxy sent instead. */
export function errorOfAnswer(status, body, header) {
  const isOurs = header("Content-Type")?.startsWith("application/problem+json");
  const kind = isOurs ? (body?.type ?? "about:blank").split("#").at(-1) : "";
  const sentence = isOurs ? sentenceOf(kind, body ?? {}) : sentenceOfProxy(status);
  const isBusy = status === 429 || status === 503 || kind === "upload-under-way";
  const retryAfter = isBusy ? Number(header("Retry-After")) || RETRY_SECONDS : null;
  return new ApiError(sentence, status, retryAfter, kind);
}

function sentenceOf(kind, { allowed, errors = [] }) {
  if (kind === "file-too-large") {
    return `The file is larger than ${formatBytes(allowed)}, the most this service takes. ${SMALLER}`;
  }
  const [input] = errors;
  return (
    SENTENCES[kind] ??
    (input && (INPUTS[input.field] ?? INPUTS[input.in])) ??
    "Something went wrong in the service. Try again; if that does not help, ask whoever runs it."
  );
}

function sentenceOfProxy(status) {
  if (status === 413) {
    return `A server in front of the service takes no file this large. ${SMALLER} Or ask whoever runs it to raise that limit.`;
  }
  if (status >= 500) return NO_ANSWER;
  return "Another server answered in place of the service. Reload the page; you may have to sign in.";
}
