/** How an image is shown: its placeholder, until its thumbnail or its file has come. */

import { fileUrl, statusOf } from "./api.js";
import { RETRY_SECONDS } from "./errors.js";

/** How often a thumbnail may be late, or what has come may be unreadable, until it is given up. */
const MAX_FAILURES = 3;

/** What comes sooner is shown at once, and what comes later appears gradually, in milliseconds. */
const [SOON, APPEARING] = [80, 200];

/**
 * Show an image in an element by the first of some addresses that the browser can show, and until
 * that has come by its placeholder. Return the address; undefined if there is none.
 * @param {{srcset?: string, sizes?: string}} choice  What the browser may show for a thumbnail.
 */
export async function showImage(place, image, addresses, choice = {}) {
  const placeholder = drawPlaceholder(image);
  const img = new Image(); // a new one: the old would show its image until this one came
  Object.assign(img, { alt: image.filename, loading: "lazy", className: "pending" });
  place.replaceChildren(placeholder, img);
  const began = performance.now();
  for (const address of addresses.filter(Boolean)) {
    const isThumbnail = address.includes("/thumbnails/");
    Object.assign(img, { srcset: "", sizes: "", ...(isThumbnail && choice) });
    const isLoaded = await load(img, address, address === fileUrl(image));
    if (!place.isConnected) return undefined;
    if (!isLoaded) continue;
    appear(img, placeholder, performance.now() - began < SOON);
    return address;
  }
  img.className = "broken";
}

/** Show what has loaded over its placeholder, gradually unless it came soon or motion is unwanted. */
function appear(img, placeholder, isSoon) {
  const isStill = isSoon || matchMedia("(prefers-reduced-motion: reduce)").matches;
  if (isStill) return placeholder.remove();
  img.animate({ opacity: [0, 1] }, APPEARING).onfinish = () => placeholder.remove();
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
    const status = await statusOf(img.currentSrc || address);
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
  canvas.ariaHidden = "true";
  if (placeholder) paint(canvas, placeholder, width / height || 1);
  return canvas;
}

/** Paint a ThumbHash; its decoder is loaded while the first images are. */
async function paint(canvas, placeholder, ratio) {
  const { decodeThumbHash } = await import("./thumbhash.js");
  if (!canvas.parentElement) return; // the image was sooner
  const hash = Uint8Array.from(atob(placeholder), (byte) => byte.charCodeAt(0));
  const pixels = decodeThumbHash(hash, ratio);
  Object.assign(canvas, { width: pixels.width, height: pixels.height });
  canvas.getContext("2d")?.putImageData(pixels, 0, 0);
}
