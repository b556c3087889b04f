/** Previews: small local images of files that were just uploaded, shown until there are thumbnails. */

/** Of all previews; the oldest go first. */
const MAX_BYTES = 20_000_000;

/** @type {Map<string, {url: string, size: number}>} By id of the image. */
const previews = new Map();
let bytes = 0;

/** Keep a preview of an image. @param {string} id  @param {Blob} blob */
export function setPreview(id, blob) {
  previews.set(id, { url: URL.createObjectURL(blob), size: blob.size });
  bytes += blob.size;
  for (const [old, { url, size }] of previews) {
    if (bytes <= MAX_BYTES) return;
    URL.revokeObjectURL(url);
    previews.delete(old);
    bytes -= size;
  }
}

/** Return the address of an image's preview, if there is one. */
export const previewOf = (id) => previews.get(id)?.url;
