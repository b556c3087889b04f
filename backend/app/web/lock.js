/** The lock of private images: on their tiles, and before their names. */

import { copyTemplate, element } from "./dom.js";
import { findImage } from "./images.js";
import "./later.js";
import { isPrivate } from "./links.js";

const gallery = element("gallery");

/** Put the lock on an element, or take it off. */
export function showLock(place, isLocked) {
  const lock = place.querySelector(".lock");
  if (isLocked && !lock) place.prepend(copyTemplate("lock"));
  else if (!isLocked) lock?.remove();
}

function mark() {
  for (const tile of gallery.querySelectorAll("li")) {
    showLock(tile.querySelector("a"), isPrivate(findImage(tile.dataset.id) ?? {}));
  }
}

gallery.addEventListener("draw", mark);
mark();
