/**
 * The address: `#id` names the open image, `?q=&type=&from=&to=` the search; both can be shared and
 * gone back from.
 */

import { element } from "./dom.js";
import { currentSearch, setSearch } from "./images.js";
import { formatSearch, parseSearch } from "./search.js";

/** Whether the browser is on its way back to the gallery. */
let isLeaving = false;

/** Return the search that the address names. */
export const addressedSearch = () => parseSearch(location.search);

/** Return the address of the gallery with a search. */
export const addressOf = (search) => location.pathname + formatSearch(search);

/**
 * Call a function now, and whenever the address names another image or none; search what it names
 * when the browser goes back or forward.
 */
export function followAddress(show) {
  history.scrollRestoration = "manual";
  noteEntry(false);
  addEventListener("popstate", () => {
    const wanted = addressedSearch();
    if (formatSearch(wanted) !== formatSearch(currentSearch())) setSearch(wanted);
  });
  addEventListener("hashchange", (event) => {
    isLeaving = false;
    noteEntry(!new URL(event.oldURL).hash);
    show();
  });
  element("gallery").addEventListener("click", openAfterLeaving);
  show();
}

/** Note in a new entry of the browser's history whether the one before it is the gallery. */
function noteEntry(isAfterGallery) {
  if (history.state === null) history.replaceState({ isAfterGallery }, "");
}

/** Delay the opening of an image until the browser has gone back. */
function openAfterLeaving(event) {
  const link = event.target.closest("a");
  if (!link || !isLeaving) return;
  event.preventDefault();
  addEventListener("hashchange", () => link.click(), { once: true });
}

/** Go back to the address of the gallery, unless the reader has done so. */
export function leaveAddress() {
  if (!location.hash) return;
  isLeaving = history.state?.isAfterGallery;
  if (isLeaving) history.back();
  else replaceAddress(location.pathname + location.search);
}

/** Replace the address without a new entry in the browser's history. */
export const replaceAddress = (url) => history.replaceState(history.state, "", url);
