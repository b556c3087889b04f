/** The clipboard, also where the browser has no navigator.clipboard: on plain HTTP. */

import { announce } from "./messages.js";

/** Copy a text, and announce that by the text's name. */
export const copy = (name, text) =>
  copyWhenMade(Promise.resolve({ text, name }), () => navigator.clipboard?.writeText(text));

/**
 * Copy a text that is yet to be made, and announce it by the name that comes with it, or why there
 * is none. @param {Promise<{text: string, name: string}>} making
 */
export async function copyWhenMade(making, write = () => writeLater(making)) {
  const writing = write() ?? Promise.reject(); // at the click, or some browsers refuse
  const isWritten = writing.then(() => true, () => false);
  const made = await making.catch((error) => error);
  if (made instanceof Error) return announce(made.message);
  const isCopied = (await isWritten) || copySelection(made.text);
  announce(isCopied ? `${made.name} copied` : "The browser blocked copying. Allow it, and try again.");
}

function writeLater(making) {
  if (!navigator.clipboard || !window.ClipboardItem) return undefined;
  const blob = making.then(({ text }) => new Blob([text], { type: "text/plain" }));
  return navigator.clipboard.write([new ClipboardItem({ "text/plain": blob })]);
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
