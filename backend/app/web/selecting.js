/** Selecting in the grid: by the boxes of tiles, by a long press, and by clicks once it has begun. */

import { element } from "./dom.js";
import { extendTo, isSelected, selected, selectedImages, toggle } from "./selection.js";

/** Of a press that selects, in milliseconds. */
const LONG = 500;

const gallery = element("gallery");
let pressing = 0;

/** Show on tiles whether they are selected. */
function mark() {
  gallery.classList.toggle("selecting", selectedImages().length > 0);
  for (const tile of gallery.querySelectorAll("li")) markTile(tile);
}

const markTile = (tile) => {
  tile.querySelector("input").checked = isSelected(tile.dataset.id);
};

gallery.addEventListener("tile", ({ detail }) => markTile(detail));
selected.addEventListener("change", mark);
mark();

gallery.addEventListener(
  "click",
  (event) => {
    const tile = event.target.closest("li");
    const isBox = event.target.matches("input");
    const isOpening = !isBox && !event.shiftKey && !gallery.matches(".selecting");
    if (!tile || isOpening || event.ctrlKey || event.metaKey) return;
    if (!isBox) event.preventDefault();
    event.stopImmediatePropagation();
    if (event.shiftKey) extendTo(tile.dataset.id);
    else toggle(tile.dataset.id);
    mark();
  },
  { capture: true },
);

gallery.addEventListener("pointerdown", ({ target, pointerType }) => {
  const tile = target.closest("li");
  if (!tile || pointerType !== "touch") return;
  pressing = setTimeout(() => {
    toggle(tile.dataset.id);
    navigator.vibrate?.(10);
  }, LONG);
});
for (const type of ["pointerup", "pointercancel", "pointermove"]) {
  gallery.addEventListener(type, () => clearTimeout(pressing));
}
gallery.addEventListener("contextmenu", (event) => {
  if (event.pointerType === "touch") event.preventDefault();
});
