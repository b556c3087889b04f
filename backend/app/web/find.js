/** The search: its field and filters, what it has found, and a way out of it. */

import { addressOf, replaceAddress } from "./address.js";
import { copyTemplate, element, loadStyle } from "./dom.js";
import { formatCount, formatDate, formatType } from "./format.js";
import { allImages, currentSearch, hasMore, images, setSearch } from "./images.js";
import { addKeys } from "./keys.js";
import "./later.js";
import { formatSearch, tidySearch, TYPES } from "./search.js";

/** Between the last key that is typed and the search, in milliseconds. */
const PAUSE = 300;

/** What the parts of a search are called. */
const NAMES = {
  q: (words) => `“${words}”`,
  type: formatType,
  from: (day) => `From ${formatDate(day)}`,
  to: (day) => `Until ${formatDate(day)}`,
};

const form = /** @type {HTMLFormElement} */ (element("find"));
const field = form.querySelector("input");
const filters = copyTemplate("filter-fields");
const found = copyTemplate("found");

/**
 * The last final search's address and state, while what follows it is being typed.
 * @type {?{state: object, address: string}}
 */
let settled = null;

/** The search that is shown, as its address has it. */
let shown = "";

let timer = 0;

/** Search what the fields say; once that is final, in a new entry of the browser's history. */
function search(isFinal) {
  clearTimeout(timer);
  const wanted = tidySearch(Object.fromEntries(new FormData(form)));
  const address = addressOf(wanted);
  if (formatSearch(wanted) !== shown) {
    settled ??= { state: history.state, address: addressOf(currentSearch()) };
    replaceAddress(address);
    showSearch(wanted);
    setSearch(wanted);
  }
  if (!isFinal || !settled) return;
  if (settled.address !== address) {
    history.replaceState(settled.state, "", settled.address);
    history.pushState({}, "", address);
  }
  settled = null;
}

/** Show a search above the grid. */
function showSearch(wanted) {
  shown = formatSearch(wanted);
  const chips = Object.entries(wanted).map(([name, value]) => makeChip(name, NAMES[name](value)));
  found.querySelector("ul").replaceChildren(...chips);
  found.querySelector("p").textContent = "";
}

function makeChip(name, text) {
  const chip = copyTemplate("chip");
  const button = chip.querySelector("button");
  button.prepend(text);
  button.ariaLabel = `Remove ${text}`;
  button.addEventListener("click", () => {
    setFields({ ...currentSearch(), [name]: "" });
    search(true);
    const next = found.querySelector("button");
    if (next) next.focus();
    else focusField();
  });
  return chip;
}

/** Focus the field, except where that brings up a keyboard nobody asked for. */
const focusField = () => isTouched() || field.focus();

const isTouched = () => matchMedia("(pointer: coarse)").matches;

function setFields(wanted) {
  for (const name of Object.keys(NAMES)) form.elements[name].value = wanted[name] ?? "";
}

/** Follow the images: they may be those of another search, or all that it has found. */
function follow() {
  const wanted = currentSearch();
  if (formatSearch(wanted) !== shown) {
    clearTimeout(timer);
    settled = null;
    setFields(wanted);
    showSearch(wanted);
  }
  if (!hasMore()) showCount(formatCount({ count: allImages().length, exact: true }));
}

/** Show, and have screen readers say, how many images are found. */
function showCount(pictures) {
  if (hasMore() && !allImages().length) return;
  const sentence = allImages().length ? `${pictures} found` : "No matches";
  const place = found.querySelector("p");
  if (shown && place.textContent !== sentence) place.textContent = sentence;
}

/** Put the filters below the field. */
function placeFilters() {
  const { bottom, right } = form.getBoundingClientRect();
  filters.style.top = `${bottom + 8}px`;
  filters.style.right = `${Math.max(document.documentElement.clientWidth - right, 8)}px`;
}

await loadStyle("find.css");
for (const type of TYPES) filters.querySelector("select").add(new Option(formatType(type), type));
form.append(filters);
form.querySelector("button")?.removeAttribute("disabled");
element("gallery").before(found);
form.addEventListener("input", () => {
  clearTimeout(timer);
  timer = setTimeout(search, PAUSE, false);
});
field.addEventListener("change", () => search(true)); // the focus goes elsewhere
field.addEventListener("keydown", (event) => {
  if (event.isComposing || (event.key !== "Enter" && event.key !== "Escape")) return;
  event.preventDefault();
  const isDone = event.key === "Enter" ? isTouched() : !field.value;
  if (event.key === "Escape") field.value = "";
  search(true);
  if (isDone) field.blur(); // and the keyboard goes
});
filters.addEventListener("beforetoggle", placeFilters);
filters.addEventListener("toggle", ({ newState }) => newState === "closed" && search(true));
addEventListener("resize", placeFilters);
element("unfound").querySelector("button").addEventListener("click", () => {
  setFields({});
  search(true);
  focusField();
});
addKeys({ place: "page", keys: ["/"], label: "Search", action: () => field.focus() });
images.addEventListener("change", follow);
element("count").addEventListener("change", () => showCount(element("count").textContent));
const typed = field.value; // before this was here
follow();
if (typed) {
  field.value = typed;
  search(false);
}
