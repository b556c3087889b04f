/** The dialog that chooses files, and shows them before they are sent. */

import { copyTemplate, openDialog, whenClosed } from "./dom.js";
import { formatBytes } from "./format.js";
import { limits } from "./limits.js";
import { TYPES } from "./messages.js";
import { shrink } from "./shrink.js";

/** Files that are shown with a tile each. */
const MAX_SHOWN = 200;

/** Adds files to those of the open dialog. @type {?((files: Iterable<File>) => void)} */
let add = null;

/** Add files to those of the dialog; return whether it is open. */
export function addToChooser(files) {
  add?.(files);
  return add !== null;
}

/**
 * Return the files that the person has chosen; call a function when they change what becomes of them.
 * @param {{isStripped: boolean, isPrivate: boolean}} choice
 */
export async function openChooser(choice, onChange) {
  if (add) return []; // it is open
  const dialog = openDialog("chooser");
  const [input, ...boxes] = dialog.querySelectorAll("input");
  const list = dialog.querySelector("ul");
  /** Files by their tiles. @type {Map<Element, File>} */
  const chosen = new Map();
  for (const [place, name] of Object.keys(choice).entries()) {
    boxes[place].checked = choice[name];
    boxes[place].addEventListener("change", () => {
      choice[name] = boxes[place].checked;
      onChange();
    });
  }
  const most = limits.max_upload_bytes;
  const each = Number.isFinite(most) ? `, up to ${formatBytes(most)} each` : "";
  dialog.querySelector(".quiet").textContent =
    `${TYPES}${each}. You can also drop files and folders anywhere on the page, or paste them.`;

  const observer = new IntersectionObserver((entries) => {
    for (const { target } of entries.filter(({ isIntersecting }) => isIntersecting)) {
      observer.unobserve(target);
      showPreview(target, chosen.get(target));
    }
  });
  const draw = () => {
    const count = chosen.size;
    const size = [...chosen.values()].reduce((sum, file) => sum + file.size, 0);
    const words = `${count === 1 ? "1 picture" : `${count} pictures`}, ${formatBytes(size)}`;
    const limit = count > MAX_SHOWN ? `. The first ${MAX_SHOWN} are shown.` : "";
    dialog.querySelector(".count").textContent = count ? words + limit : "";
    list.hidden = count === 0;
    list.append(...[...chosen.keys()].slice(list.children.length, MAX_SHOWN));
    input.required = count === 0;
    if (count === 0) input.value = "";
  };
  add = (files) => {
    for (const file of files) {
      const tile = makeTile(file, () => {
        (tile.nextElementSibling?.querySelector("button") ?? input).focus();
        tile.remove();
        chosen.delete(tile);
        draw();
      });
      chosen.set(tile, file);
      observer.observe(tile);
    }
    draw();
  };
  input.addEventListener("click", () => (input.value = "")); // the same file can be chosen again
  input.addEventListener("change", () => addToChooser(input.files));
  draw();
  const isDone = await whenClosed(dialog);
  add = null;
  observer.disconnect();
  return isDone ? [...chosen.values()] : [];
}

function makeTile(file, remove) {
  const tile = copyTemplate("chosen");
  const button = tile.querySelector("button");
  const isTooLarge = file.size > limits.max_upload_bytes;
  button.ariaLabel = `Remove ${file.name}`;
  button.addEventListener("click", remove);
  tile.querySelector(".name").textContent = tile.title = file.name;
  tile.querySelector(".size").textContent = isTooLarge ? "Too large" : formatBytes(file.size);
  tile.querySelector(".size").classList.toggle("error", isTooLarge);
  return tile;
}

async function showPreview(tile, file) {
  const preview = await shrink(file);
  if (!preview || !tile.isConnected) return;
  const img = Object.assign(new Image(), { alt: "", src: URL.createObjectURL(preview) });
  img.onload = () => URL.revokeObjectURL(img.src);
  tile.prepend(img);
}
