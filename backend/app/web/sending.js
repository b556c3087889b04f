/** The call of the API that sends a file. */

import { errorOf, IMAGES, withKey } from "./api.js";
import { ApiError } from "./errors.js";

const ANSWER_LOST =
  "The connection broke before the answer came. Reload the page to see if the picture is there.";

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
    if (status && status !== 201) throw await errorOf(status, response, header);
    throw isSent ? new ApiError(ANSWER_LOST) : ApiError.ofNetwork();
  });
