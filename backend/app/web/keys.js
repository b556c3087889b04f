/** The keys of the page: one table, by which they act and which `?` shows. */

import { openDialog } from "./dom.js";

/** Where keys act: of the viewer while it is open, of a picture while it has the focus. */
const PLACES = { page: "Anywhere", tile: "Among the pictures", viewer: "In an open picture" };

/** What keys are called, where that is not their name. */
const NAMES = { " ": "Space", Escape: "Esc", Arrow: "", Left: "←", Right: "→", Up: "↑", Down: "↓" };

/**
 * @typedef {object} Key
 * @property {keyof PLACES} place
 * @property {string[]} keys  As KeyboardEvent.key has them, with "Shift+" where that is held.
 * @property {string} label   What they do.
 * @property {(key: string) => unknown} [action]  Where the browser does nothing by itself; returns
 *   false to leave this key to it.
 */

/** @type {Key[]} */
const table = [];

/** Add keys to the table, which is asked from its start. */
export const addKeys = (...keys) => void table.push(...keys);

/** Return where keys act now; nowhere while somebody types or a dialog waits for an answer. */
function currentPlaces(target) {
  const dialog = [...document.querySelectorAll("dialog[open]")].at(-1);
  if (target.closest?.("input, select, textarea, [popover]")) return [];
  if (dialog) return dialog.matches(".viewer") ? ["viewer"] : [];
  return target.closest?.("#gallery a") ? ["tile", "page"] : ["page"];
}

addEventListener("keydown", (event) => {
  if (event.defaultPrevented || event.altKey || event.ctrlKey || event.metaKey) return;
  const isNamed = event.key.length > 1;
  const key = isNamed && event.shiftKey ? `Shift+${event.key}` : event.key;
  const places = currentPlaces(event.target);
  const row = table.find(({ place, keys }) => places.includes(place) && keys.includes(key));
  if (row?.action && row.action(key) !== false) event.preventDefault();
});

/** Show every key and what it does. */
export function showKeys() {
  const dialog = openDialog("keys");
  const list = dialog.querySelector("div");
  for (const [place, title] of Object.entries(PLACES)) {
    const rows = table.filter((row) => row.place === place);
    if (rows.length === 0) continue;
    const heading = Object.assign(document.createElement("h3"), { textContent: title });
    const descriptions = document.createElement("dl");
    for (const { keys, label } of rows) descriptions.append(describe(keys, label));
    list.append(heading, descriptions);
  }
}

function describe(keys, label) {
  const row = document.createElement("div");
  const [term, description] = [document.createElement("dt"), document.createElement("dd")];
  for (const key of keys) {
    const name = key.replace(/ |Escape|Arrow|Left|Right|Up$|Down$/g, (part) => NAMES[part]);
    const shown = name.replace("+", " ");
    term.append(Object.assign(document.createElement("kbd"), { textContent: shown }), " ");
  }
  description.textContent = label;
  row.append(term, description);
  return row;
}

addKeys({ place: "page", keys: ["?"], label: "Show the keys", action: showKeys });
