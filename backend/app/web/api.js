/** The client of the public API (see /docs). Each call throws an ApiError if it fails. */

import { ApiError, RETRY_SECONDS } from "./errors.js";
import { withKey } from "./key.js";

const IMAGES = "api/v1/images";
const ANSWER_LOST =
  "The connection broke before the answer came. Reload the page to see if the picture is there.";

/** What the service accepts; until it has said so, it alone refuses what is too large. */
export let limits = {
  max_upload_bytes: Infinity,
  accepted_types: ["jpeg", "png", "gif", "webp", "avif", "heic"].map((type) => `image/${type}`),
};

/** Load the limits, if the service answers. */
export async function loadLimits() {
  limits = await call("GET", "api/v1/limits").catch(() => limits);
}

/** Return the address of an image's file, from this host even where `url` names another. */
export const fileUrl = ({ id }) => `${IMAGES}/${id}/file`;

/**
 * Return the address of an image's largest thumbnail of at most some pixels, else of its smallest,
 * from this host; undefined if it has none.
 */
export function thumbnailUrl({ id, thumbnails = {} }, pixels = Infinity) {
  const sizes = Object.keys(thumbnails); // ascending, as objects keep whole numbers
  const size = sizes.findLast((size) => Number(size) <= pixels) ?? sizes[0];
  return size && `${IMAGES}/${id}/thumbnails/${size}`;
}

/** Return the status with which an address answers, 0 if it does not. */
export const statusOf = (url) =>
  fetch(url, { method: "HEAD", cache: "no-store" }).then(
    ({ status }) => status,
    () => 0,
  );

/**
 * Return a page of images, newest first, and the cursor of the next page.
 * @returns {Promise<ApiImageList>}
 */
export const listImages = (query) => call("GET", `${IMAGES}?${new URLSearchParams(query)}`);

/** Return an image. @returns {Promise<ApiImageDetails>} */
export const getImage = (id) => call("GET", `${IMAGES}/${encodeURIComponent(id)}`);

/** Rename an image; return it. @returns {Promise<ApiImage>} */
export const renameImage = (id, filename) => call("PATCH", `${IMAGES}/${id}`, { filename });

/** Delete an image. */
export const deleteImage = (id) => call("DELETE", `${IMAGES}/${id}`);

const call = (method, path, content) =>
  withKey(async (key) => {
    const headers = content ? { ...key, "Content-Type": "application/json" } : key;
    const request = { method, headers, body: JSON.stringify(content), cache: "no-store" };
    const answer = await fetch(path, /** @type {RequestInit} */ (request)).catch(() => null);
    if (!answer) throw ApiError.ofNetwork();
    const body = await answer.json().catch(() => null);
    if (answer.ok && (body || answer.status === 204)) return body;
    const header = (name) => answer.headers.get(name);
    const isPage = header("Content-Type")?.startsWith("text/html");
    if (answer.ok && !isPage) throw ApiError.ofNetwork(); // cut short
    const error = ApiError.ofAnswer(answer.status, body, header);
    if (answer.ok) error.retryAfter = RETRY_SECONDS; // until somebody has signed in, say
    throw error;
  });

/**
 * Upload a file, without its metadata if that is to be stripped; call listeners at events of its
 * way up. @returns {Promise<ApiImage>}
 */
export const uploadImage = (file, isStripped, signal, listeners) =>
  withKey(async (headers) => {
    signal.throwIfAborted();
    const form = new FormData();
    form.append("strip_metadata", isStripped); // before the file, or it is refused
    form.append("file", file);
    const request = new XMLHttpRequest(); // fetch() reports no progress
    request.open("POST", `${IMAGES}/upload`);
    request.responseType = "json";
    for (const [name, value] of Object.entries(headers)) request.setRequestHeader(name, value);
    const { upload } = request;
    for (const [type, action] of Object.entries(listeners)) upload.addEventListener(type, action);
    let isSent = false;
    upload.addEventListener("load", () => (isSent = true));
    signal.addEventListener("abort", () => request.abort());
    await new Promise((resolve) => {
      request.addEventListener("loadend", resolve);
      request.send(form);
    });
    const { status, response } = request; // status: 0 without an answer
    if (status === 201 && response) return response;
    const header = (name) => request.getResponseHeader(name);
    if (status && status !== 201) throw ApiError.ofAnswer(status, response, header);
    throw isSent ? new ApiError(ANSWER_LOST) : ApiError.ofNetwork();
  });
