/** Small local images of files: what was chosen, or has just been uploaded. */

/** Pixels of the longest side. */
const LONGEST_SIDE = 600;

/** What is decoded at all: one image at a time, of four bytes a pixel. */
const MAX_BYTES = 64 * 1024 * 1024;
const MAX_PIXELS = 64_000_000;
const DEADLINE_MS = 5_000;

/** @type {WeakMap<File, Promise<?Blob>>} */
const made = new WeakMap();

/** The one that was asked for last. @type {Promise<?Blob>} */
let last = Promise.resolve(null);

/** Return a small, turned image of a file; null if the browser cannot decode it, or should not. */
export function shrink(file) {
  if (!made.has(file)) {
    last = last.then(() =>
      Promise.race([
        decode(file).catch(() => null),
        new Promise((resolve) => setTimeout(resolve, DEADLINE_MS, null)),
      ]),
    );
    made.set(file, last);
  }
  return made.get(file);
}

async function decode(file) {
  if (file.size > MAX_BYTES) return null;
  const { width, height } = await measure(file);
  if (width * height > MAX_PIXELS) return null;
  const scale = Math.min(1, LONGEST_SIDE / Math.max(width, height));
  const bitmap = await createImageBitmap(file, {
    resizeWidth: Math.max(1, Math.round(width * scale)),
    resizeHeight: Math.max(1, Math.round(height * scale)),
    resizeQuality: "medium",
  });
  const canvas = new OffscreenCanvas(bitmap.width, bitmap.height);
  // transferFromImageBitmap() would not turn it.
  canvas.getContext("2d")?.drawImage(bitmap, 0, 0);
  bitmap.close();
  return canvas.convertToBlob({ type: "image/webp", quality: 0.8 });
}

/** Return an image's dimensions, which an <img> finds without decoding the rest. */
async function measure(file) {
  const img = new Image();
  img.src = URL.createObjectURL(file);
  const loading = new Promise((resolve, reject) => Object.assign(img, { onload: resolve, onerror: reject }));
  await loading.finally(() => URL.revokeObjectURL(img.src));
  return { width: img.naturalWidth, height: img.naturalHeight };
}
