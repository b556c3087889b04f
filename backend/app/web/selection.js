/** The selection: the images that the next action is for. */

import { allImages, images } from "./images.js";

/** "change" is dispatched when images are selected or no longer are. */
export const selected = new EventTarget();

/** Ids. */
const chosen = new Set();

/** The last image that was toggled, from which a range extends. */
let anchor = null;

/** Return whether an image is selected. */
export const isSelected = (id) => chosen.has(id);

/** Return the selected images, newest first. */
export const selectedImages = () => allImages().filter(({ id }) => chosen.has(id));

/** Select an image, or no longer. */
export function toggle(id) {
  if (!chosen.delete(id)) chosen.add(id);
  anchor = id;
  noteChange();
}

/** Select every image from the last one that was toggled to another. */
export function extendTo(id) {
  const ids = allImages().map((image) => image.id);
  const ends = [ids.indexOf(anchor ?? id), ids.indexOf(id)].sort((a, b) => a - b);
  for (const between of ids.slice(Math.max(ends[0], 0), ends[1] + 1)) chosen.add(between);
  noteChange();
}

/** Select nothing. */
export function clear() {
  chosen.clear();
  anchor = null;
  noteChange();
}

images.addEventListener("change", () => {
  const known = new Set(allImages().map(({ id }) => id));
  const gone = [...chosen].filter((id) => !known.has(id));
  for (const id of gone) chosen.delete(id);
  if (gone.length) noteChange();
});

const noteChange = () => selected.dispatchEvent(new Event("change"));
