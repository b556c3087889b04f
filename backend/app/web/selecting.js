/** Selecting in the grid: by the boxes of tiles, by a long press, and by clicks once it has begun. */

import { element } from "./dom.js";
import { extendTo, hasSelection, isSelected, selected, toggle } from "./selection.js";

/** Of a press that selects, in milliseconds. */
const LONG = 500;

const gallery = element("gallery");
let press = 0;

/** Show which tiles are selected. */
function mark() {
  gallery.classList.toggle("selecting", hasSelection());
  for (const tile of gallery.querySelectorAll("li")) {
    const isChosen = isSelected(tile.dataset.id);
    tile.classList.toggle("selected", isChosen);
    tile.querySelector("input").checked = isChosen;
  }
}

/** Return the ids of the tiles whose boxes are checked. */
const checkedIds = () => [...gallery.querySelectorAll("input:checked")].map((box) => box.closest("li").dataset.id);

/** Select at a click on a box, with Shift, or while anything is selected; else it opens the image. */
function selectByClick(event) {
  const tile = event.target.closest("li");
  const isBox = event.target.matches("input");
  if (!tile || event.ctrlKey || event.metaKey) return;
  if (!isBox && !event.shiftKey && !(hasSelection() && event.detail)) return; // 0 = by Enter
  event.stopPropagation();
  if (!isBox) event.preventDefault();
  (event.shiftKey ? extendTo : toggle)(tile.dataset.id);
}

/** Select by a long press of a finger. */
function selectByPress({ target, pointerType }) {
  const id = target.closest("li")?.dataset.id;
  if (id && pointerType === "touch") press = window.setTimeout(() => toggle(id), LONG);
}

function keepMenuClosed(event) {
  if (event.pointerType === "touch") event.preventDefault();
}

gallery.addEventListener("draw", mark);
selected.addEventListener("change", mark);
gallery.addEventListener("click", selectByClick, { capture: true });
gallery.addEventListener("pointerdown", selectByPress);
gallery.addEventListener("contextmenu", keepMenuClosed);
for (const type of ["pointerup", "pointercancel", "pointermove"]) {
  gallery.addEventListener(type, () => clearTimeout(press));
}
for (const id of checkedIds()) toggle(id); // clicked before this was there
mark();
