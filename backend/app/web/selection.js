/** The selection: the images that the next action is for. */

import { allImages, images } from "./images.js";
import { extendRange } from "./range.js";

/** "change" is dispatched when images are selected or no longer are. */
export const selected = new EventTarget();

/** @type {Set<string>} Ids. */
let chosen = new Set();

/** Where a range begins: the last image that was toggled, and what was selected then. */
let start = { id: /** @type {?string} */ (null), before: chosen };

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

/** Select every image between where the range begins and another one; one alone begins a range. */
export function extendTo(id) {
  const ids = allImages().map((image) => image.id);
  if (!ids.includes(start.id)) return toggle(id);
  chosen = extendRange(ids, start.before, start.id, id);
  noteChange();
}

/** Select these images alone; a range begins at one of them, or at none. */
export function select(ids, id = null) {
  chosen = new Set(ids);
  start = { id, before: chosen };
  noteChange();
}

/** Select nothing. */
export const clear = () => select([]);

images.addEventListener("change", () => {
  const known = new Set(allImages().map(({ id }) => id));
  const left = [...chosen].filter((id) => known.has(id));
  if (left.length < chosen.size) select(left, start.id);
});

const noteChange = () => selected.dispatchEvent(new Event("change"));
