/** The call of the API that sends a file. */

import { errorOf, IMAGES, withKey } from "./api.js";
import { ApiError } from "./errors.js";

/** @typedef {{isStripped: any, isPrivate: any}} Choice  Whether a file loses its metadata, and is private. */

/**
 * Upload a file as was chosen; call listeners at events of its way up. It is stored once for a key,
 * however often it is sent, so that a lost answer can be asked for again.
 * @returns {Promise<ApiUploadedImage>}
 */
export const uploadImage = (file, choice, key, signal, listeners) =>
  withKey(async (headers) => {
    signal.throwIfAborted();
    const form = new FormData();
    form.append("strip_metadata", choice.isStripped); // before the file, or they are refused
    form.append("is_public", String(!choice.isPrivate));
    form.append("file", file);
    const request = new XMLHttpRequest(); // fetch() reports no progress
    request.open("POST", `${IMAGES}/upload`);
    request.responseType = "json";
    const fields = { ...headers, "Idempotency-Key": key };
    for (const [name, value] of Object.entries(fields)) request.setRequestHeader(name, value);
    const { upload } = request;
    for (const [type, action] of Object.entries(listeners)) upload.addEventListener(type, action);
    signal.addEventListener("abort", () => request.abort());
    await new Promise((resolve) => {
      request.addEventListener("loadend", resolve);
      request.send(form);
    });
    const { status, response } = request; // status: 0 without an answer
    if (status === 201 && response) return response;
    const header = (name) => request.getResponseHeader(name);
    if (status && status !== 201) throw await errorOf(status, response, header);
    throw ApiError.ofNetwork();
  });
