/** How an image is shown: its placeholder, until its thumbnail or its file has come. */

import { fileUrl, statusOf } from "./api.js";
import { RETRY_SECONDS } from "./errors.js";
import { decodeThumbHash } from "./thumbhash.js";

/** How often a thumbnail may be late, or what has come may be unreadable, until it is given up. */
const MAX_FAILURES = 3;

/**
 * Show an image in an element by the first of some addresses that the browser can show, and until
 * that has come by its placeholder. Return the address; undefined if there is none.
 */
export async function showImage(place, image, addresses) {
  const placeholder = drawPlaceholder(image);
  const img = new Image(); // a new one: the old would show its image until this one came
  Object.assign(img, { alt: image.filename, loading: "lazy" });
  place.replaceChildren(placeholder, img);
  for (const address of addresses.filter(Boolean)) {
    if (!(await load(img, address, address === fileUrl(image)))) continue;
    placeholder.remove();
    return address;
  }
  img.className = "broken";
}

/**
 * Load an address into an <img>; again, less and less often, while that fails and an element is on
 * the page. Return whether it has loaded: a thumbnail may be refused or stay late, a file may be of
 * a type that the browser cannot show.
 */
export async function load(img, address, isFile, element = img) {
  let failures = 0;
  let seconds = RETRY_SECONDS;
  while (!(await loadOnce(img, address))) {
    if (!isFile) img.className = "pending";
    const status = await statusOf(address);
    if (isFile ? status === 200 : status) failures += 1;
    const isRefused = !isFile && status >= 400 && status < 500;
    if (isRefused || failures === MAX_FAILURES || !element.isConnected) return false;
    if (status === 200) continue;
    if (isFile) img.className = "broken";
    await new Promise((resolve) => setTimeout(resolve, seconds * 1000));
    seconds = Math.min(2 * seconds, 60);
  }
  img.className = "";
  return true;
}

/** Load an address into an <img> once; return whether it has loaded. */
const loadOnce = (img, address) =>
  new Promise((resolve) => {
    img.onload = () => resolve(true);
    img.onerror = () => resolve(false);
    img.src = address;
  });

/** Draw what an image looks like, as far as its description says. */
function drawPlaceholder({ placeholder, width, height }) {
  const canvas = document.createElement("canvas");
  if (!placeholder) return canvas;
  const hash = Uint8Array.from(atob(placeholder), (byte) => byte.charCodeAt(0));
  const pixels = decodeThumbHash(hash, width / height || 1);
  Object.assign(canvas, { width: pixels.width, height: pixels.height, ariaHidden: "true" });
  canvas.getContext("2d")?.putImageData(pixels, 0, 0);
  return canvas;
}
