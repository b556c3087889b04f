/** The selection: the images that the next action is for. */

import { allImages, images } from "./images.js";
import { extendRange } from "./range.js";

/** "change" is dispatched when images are selected or no longer are. */
export const selected = new EventTarget();

/** @type {Set<string>} Ids. */
let chosen = new Set();

/** The range that extends: the ids where it begins and ends, and what was selected before it. */
let range = { anchor: "", end: "", before: chosen };

/** Return whether an image is selected. */
export const isSelected = (id) => chosen.has(id);

/** Return whether any image is selected. */
export const hasSelection = () => chosen.size > 0;

/** Return the selected images, newest first. */
export const selectedImages = () => allImages().filter(({ id }) => chosen.has(id));

/** Select an image, or no longer. */
export function toggle(id) {
  const isChosen = chosen.has(id);
  select(isChosen ? [...chosen].filter((other) => other !== id) : [...chosen, id], id);
}

/** Select every image from where the range begins, or anew from another, to an image. */
export function extendTo(id, from = range.anchor) {
  const ids = allImages().map((image) => image.id);
  if (!ids.includes(from)) return toggle(id);
  if (from !== range.anchor && from !== range.end) range = { anchor: from, end: from, before: chosen };
  range.end = id;
  chosen = extendRange(ids, range.before, range.anchor, id);
  noteChange();
}

/** Select these images alone; a range begins at one of them, or at none. */
export function select(ids, anchor = "") {
  chosen = new Set(ids);
  range = { anchor, end: anchor, before: chosen };
  noteChange();
}

/** Select nothing. */
export const clear = () => select([]);

images.addEventListener("change", () => {
  const known = new Set(allImages().map(({ id }) => id));
  const left = [...chosen].filter((id) => known.has(id));
  if (left.length < chosen.size) select(left, range.anchor);
});

const noteChange = () => selected.dispatchEvent(new Event("change"));
