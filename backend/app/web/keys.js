/** The keys of the page: one table, by which they act and which `?` shows. */

import { element, openDialog } from "./dom.js";
import "./later.js";

/** Where keys act: of the viewer while it is open, of a picture while it has the focus. */
const PLACES = { page: "Anywhere", tile: "Among the pictures", viewer: "In an open picture" };

/** What keys are called, where that is not their name. */
const NAMES = { " ": "Space", Escape: "Esc", Arrow: "", Left: "←", Right: "→", Up: "↑", Down: "↓" };

/**
 * @typedef {object} Key
 * @property {string} place   One of PLACES.
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
  if (target.closest?.("input:not([type=checkbox]), select, textarea, [popover], [role=menu]")) return [];
  if (dialog) return dialog.matches(".viewer") ? ["viewer"] : [];
  return target.closest?.("#gallery li") ? ["tile", "page"] : ["page"];
}

addEventListener("keydown", (event) => {
  if (event.defaultPrevented || event.altKey || event.ctrlKey || event.metaKey) return;
  const isNamed = event.key.length > 1;
  if (event.repeat && !event.key.startsWith("Arrow")) return;
  const key = isNamed && event.shiftKey ? `Shift+${event.key}` : event.key;
  const places = currentPlaces(event.target);
  const row = table.find(({ place, keys }) => places.includes(place) && keys.includes(key));
  if (row?.action && row.action(key) !== false) event.preventDefault();
});

/** Show every key and what it does. */
function showKeys() {
  const dialog = openDialog("keys");
  const list = dialog.querySelector("div");
  for (const [place, title] of Object.entries(PLACES)) {
    const rows = table.filter((row) => row.place === place);
    if (rows.length === 0) continue;
    const [section, heading, keys] = ["section", "h3", "dl"].map((tag) => document.createElement(tag));
    heading.textContent = title;
    keys.append(...rows.map(describe));
    section.append(heading, keys);
    list.append(section);
  }
}

function describe({ keys, label }) {
  const [row, term, description] = ["div", "dt", "dd"].map((tag) => document.createElement(tag));
  for (const key of keys) {
    const name = key.replace(/ |Escape|Arrow|Left|Right|Up|Down/g, (part) => NAMES[part]);
    term.append(Object.assign(document.createElement("kbd"), { textContent: name.replace("Shift+", "Shift ") }), " ");
  }
  description.textContent = label;
  row.append(term, description);
  return row;
}

addKeys(
  { place: "page", keys: ["u"], label: "Add pictures", action: () => element("add").click() },
  { place: "page", keys: ["?"], label: "Show the keys", action: showKeys },
);
