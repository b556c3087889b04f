/** The clipboard, also where the browser has no navigator.clipboard: on plain HTTP. */

import { announce } from "./messages.js";

/** Copy a text, and announce that by the text's name. */
export async function copy(name, text) {
  const written = navigator.clipboard?.writeText(text) ?? Promise.reject();
  const isCopied = await written.then(() => true, () => copySelection(text));
  announce(isCopied ? `${name} copied` : "The browser blocked copying. Allow it, and try again.");
}

function copySelection(text) {
  const focused = /** @type {?HTMLElement} */ (document.activeElement);
  const area = document.createElement("textarea");
  area.value = text;
  (document.querySelector("dialog[open]") ?? document.body).append(area);
  area.select();
  const isCopied = document.execCommand("copy");
  area.remove();
  focused?.focus();
  return isCopied;
}
