/** Previews: small local images of files that were just uploaded, shown until there are thumbnails. */

/** @type {Map<string, string>} Addresses of blobs, by id of the image. */
const previews = new Map();

/** Keep a preview of an image. */
export const setPreview = (id, url) => void previews.set(id, url);

/** Return the address of an image's preview, if there is one. */
export const previewOf = (id) => previews.get(id);
