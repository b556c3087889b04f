/** How an image is shown: its placeholder, until its thumbnail or its file has come. */

import { fileUrl, statusOf } from "./api.js";
import { RETRY_SECONDS } from "./errors.js";
import { decodeThumbHash } from "./thumbhash.js";

/** How often a thumbnail may be late, or no image, until the file is shown in its place. */
const MAX_FAILURES = 3;

/**
 * Show an image in an element: its thumbnail at an address, or its file without one. Load it again,
 * less and less often, while that fails. Return the <img>: without its `srcset` it shows the file,
 * and until that has come the thumbnail.
 */
export function showImage(place, image, thumbnail) {
  const placeholder = drawPlaceholder(image);
  const img = new Image(); // a new one: the old would show its image until this one came
  let seconds = RETRY_SECONDS;
  let failures = 0;
  img.addEventListener("load", () => {
    img.className = "";
    placeholder.remove();
  });
  img.addEventListener("error", async () => {
    img.className = img.srcset ? "pending" : "broken";
    if (img.srcset) {
      const status = await statusOf(img.srcset);
      if (status) failures += 1;
      const isRefused = status >= 400 && status < 500;
      if (isRefused || failures === MAX_FAILURES) return (img.srcset = "");
      if (status === 200) return (img.src = img.src);
    } else {
      placeholder.remove();
    }
    setTimeout(() => img.isConnected && (img.src = img.src), seconds * 1000);
    seconds = Math.min(2 * seconds, 60);
  });
  place.replaceChildren(placeholder, img);
  Object.assign(img, { alt: image.filename, loading: "lazy" });
  if (thumbnail) img.srcset = thumbnail;
  img.src = fileUrl(image);
  return img;
}

/** Draw what an image looks like, as far as its description says. */
function drawPlaceholder({ placeholder, width, height }) {
  const canvas = document.createElement("canvas");
  if (!placeholder) return canvas;
  const hash = Uint8Array.from(atob(placeholder), (byte) => byte.charCodeAt(0));
  const pixels = decodeThumbHash(hash, width / height || 1);
  Object.assign(canvas, { width: pixels.width, height: pixels.height, ariaHidden: "true" });
  canvas.getContext("2d").putImageData(pixels, 0, 0);
  return canvas;
}
