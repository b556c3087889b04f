/** The client of the public API (see /docs). Each call throws an ApiError if it fails. */

import { ApiError, RETRY_SECONDS } from "./errors.js";

export const IMAGES = "api/v1/images";

/** @type {Record<string, any>} The browser's storage of the tab, for the API key; where it has none, the page's memory. */
export let tab = {};
try {
  tab = sessionStorage;
} catch {}

/** @type {?Promise<void>} The open question for the key, so that it is asked once. */
let question = null;

/** Run a request with the key's headers; if it asks, once more with another key if this one is refused. */
export async function withKey(request, asks = true) {
  await question;
  const used = tab.apiKey;
  try {
    return await request(used ? { Authorization: `Bearer ${used}` } : {});
  } catch (error) {
    if (!(asks && error instanceof ApiError && error.asksForKey)) throw error;
    const isCurrent = !tab.apiKey || tab.apiKey === used;
    if (isCurrent) question ??= ask().finally(() => (question = null));
    return withKey(request);
  }
}

const ask = async () => (await import("./key.js")).askForKey();

/** Return the error of an answer, in words that the first screen does without. */
export const errorOf = (...answer) =>
  import("./words.js").then(
    ({ errorOfAnswer }) => errorOfAnswer(...answer),
    () => ApiError.ofNetwork(),
  );

/** What signs the address of a private image, until it expires. */
const signatureOf = (url) => url.replace(/^[^?]*/, "");

/** Return the address of an image's file, from this host even where `url` names another. */
export const fileUrl = ({ id, url = "" }) => `${IMAGES}/${id}/file${signatureOf(url)}`;

/**
 * Return the address of an image's largest thumbnail of at most some pixels, else of its smallest,
 * from this host; undefined if it has none.
 */
export function thumbnailUrl({ id, thumbnails = {} }, pixels = Infinity) {
  const sizes = Object.keys(thumbnails); // ascending, as objects keep whole numbers
  const size = sizes.findLast((size) => Number(size) <= pixels) ?? sizes[0];
  return size && `${IMAGES}/${id}/thumbnails/${size}${signatureOf(thumbnails[size].url ?? "")}`;
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

/** Return how many images a search finds. @returns {Promise<{count: number, exact: boolean}>} */
export const countImages = (query) => call("GET", `${IMAGES}/count?${new URLSearchParams(query)}`);

/** Return an image; the key for it need not be asked for. @returns {Promise<ApiImageDetails>} */
export const getImage = (id, asks = true) =>
  call("GET", `${IMAGES}/${encodeURIComponent(id)}`, undefined, { asks });

/** Call the API; with a body, and with header fields, if there are. @param {any} [json] */
export const call = (method, path, json, { fields = {}, asks = true } = {}) =>
  withKey(async (authorization) => {
    const headers = { ...authorization, ...fields, ...(json && { "Content-Type": "application/json" }) };
    const body = json && JSON.stringify(json);
    const request = fetch(path, { method, headers, body, cache: "no-store" });
    const answer = await request.catch(() => null);
    if (!answer) throw ApiError.ofNetwork();
    const result = await answer.json().catch(() => null);
    if (answer.ok && (result || answer.status === 204)) return result;
    const header = (name) => answer.headers.get(name);
    const isPage = header("Content-Type")?.startsWith("text/html");
    if (answer.ok && !isPage) throw ApiError.ofNetwork(); // cut short
    const error = await errorOf(answer.status, result, header);
    if (answer.ok) error.retryAfter = RETRY_SECONDS; // until somebody has signed in, say
    throw error;
  }, asks);
