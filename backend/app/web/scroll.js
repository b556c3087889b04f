/** The scroll position, kept in the browser's history: which image is at the top of the window. */

import { anchorInView, scrollToAnchor } from "./grid.js";
import { allImages, hasMore, loadMore, placeOf } from "./images.js";

/** From the end of a scroll until it is kept, in milliseconds: browsers limit how often. */
const PAUSE = 150;

let timer = 0;

/** Whether the images down to the position are being loaded. */
let isRestoring = false;

/** Keep the position from now on, once the one that was kept is restored. */
export function keepScroll() {
  addEventListener("scroll", () => {
    clearTimeout(timer);
    timer = window.setTimeout(keep, PAUSE);
  });
  for (const type of ["wheel", "touchmove", "keydown", "pointerdown"]) {
    addEventListener(type, () => (isRestoring = false), { passive: true });
  }
  addEventListener("popstate", () => {
    if (!allImages().length || scrollY < 1) restore();
  });
  return restore();
}

function keep() {
  if (isRestoring || location.hash) return; // an entry for an open image has the one before it
  history.replaceState({ ...history.state, anchor: anchorInView() }, "");
}

/** Load images down to the one that was at the top, and scroll there, unless somebody else scrolls. */
async function restore() {
  const anchor = history.state?.anchor;
  if (!anchor) return;
  isRestoring = true;
  while (isRestoring && placeOf(anchor) >= allImages().length && hasMore()) await loadMore();
  if (isRestoring) scrollToAnchor(anchor);
  isRestoring = false;
}
