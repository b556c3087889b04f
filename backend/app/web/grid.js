/** The grid: rows of tiles below the days of their images. Rows far away are not in the document. */

import { formatDay } from "./day.js";
import { copyTemplate, element } from "./dom.js";
import { allImages, currentSearch, findImage, hasMore, hasOlder, images, loadMore, placeOf } from "./images.js";
import { layOut, rowsBetween } from "./layout.js";
import { isEverything } from "./search.js";
import { makeTile, placeTile, releaseTile, updateTile } from "./tile.js";

/** Of a day's heading; what a scrolled page shows begins below it and the bar. In rem, as in CSS. */
const HEADING = 3;
const BAR = 4.25;

const gallery = element("gallery");

/** @type {Map<string, {tile: HTMLElement, image: ApiImage}>} Tiles in the document by id. */
const tiles = new Map();

/** @type {Map<number, HTMLElement>} Sections in the document by day. */
const sections = new Map();

/** @type {import("./layout.js").Layout} */
let layout = layOut([], 1, 0);

/** The image whose tile Tab reaches: the last one that had the focus. */
let current = "";

/** For what the document was changed last: until that changes, there is nothing to do. */
let drawn = { layout, first: 0, last: -1, current };

/** Draw the images from now on; "draw" is dispatched on the gallery when its tiles have changed. */
export function startGrid() {
  images.addEventListener("change", lay);
  new ResizeObserver(lay).observe(gallery);
  addEventListener("scroll", () => requestAnimationFrame(draw), { passive: true });
  gallery.addEventListener("focusin", noteFocus);
}

function noteFocus({ target }) {
  setCurrent(target.closest("li").dataset.id);
  draw();
}

/** Focus an image's tile, or the last one before it that is shown; without one, the button that uploads. */
export function focusImage(image) {
  const isShown = layout.rowOf.has(image?.id);
  const last = findImage(image?.id) && layout.rows.at(-1)?.tiles.at(-1)?.image;
  const shown = isShown ? image : last;
  if (!shown) return element("add").focus();
  setCurrent(shown.id);
  revealImage(shown);
  draw();
  focusCurrent();
}

const focusCurrent = () => tiles.get(current)?.tile.querySelector("a").focus({ preventScroll: true });

/** Scroll to an image's tile, if it is not in sight. */
function revealImage(image) {
  const row = rowOf(image);
  if (!row) return;
  const [above, below] = [topOf(row) - covered(), topOf(row) + row.height + rem() + coveredBelow() - innerHeight];
  if (scrollY > above || scrollY < below) scrollTo(0, scrollY > above ? above : below);
}

/** Return where the focus is, or would be: the image, and the rows around it. */
export const currentPlace = () => ({ image: findImage(current), layout });

/** Return what is at the top of the window, by which its position can be found again. */
export function anchorInView() {
  if (scrollY < 1 || !layout.rows.length) return null;
  const [place] = rowsBetween(layout, scrollY + covered() - gallery.offsetTop, Infinity);
  const row = layout.rows[Math.min(place, layout.rows.length - 1)];
  const { id, created_at } = row.tiles[0].image;
  return { id, created_at, offset: topOf(row) - scrollY };
}

/** Scroll so that an image, or what follows it, is where it was. */
export function scrollToAnchor({ offset, ...image }) {
  const row = rowOf(allImages()[placeOf(image)] ?? allImages().at(-1));
  if (row) scrollTo(0, topOf(row) - offset);
  draw();
}

const rem = () => parseFloat(getComputedStyle(document.documentElement).fontSize);
const covered = () => (BAR + HEADING) * rem();
const coveredBelow = () => parseFloat(getComputedStyle(document.documentElement).scrollPaddingBottom) || 0;
const rowOf = (image) => layout.rows[layout.rowOf.get(image?.id) ?? -1];
const topOf = (row) => gallery.offsetTop + row.top;

/** Lay the images out; what is in sight stays where it is. */
function lay() {
  const anchor = anchorInView();
  layout = layOut(allImages(), gallery.clientWidth, HEADING * rem(), hasOlder());
  gallery.style.height = `${layout.height}px`;
  const isEmpty = layout.rows.length === 0 && !hasMore();
  const isSearch = !isEverything(currentSearch());
  element("empty").hidden = !isEmpty || isSearch;
  element("unfound").hidden = !isEmpty || !isSearch;
  const gone = layout.rowOf.has(current) ? null : tiles.get(current);
  const isFocusLost = gone?.tile.contains(document.activeElement);
  const next = gone && allImages()[placeOf(gone.image)]?.id;
  const isShown = layout.rowOf.has(next ?? "");
  if (!layout.rowOf.has(current)) setCurrent((isShown && next) || (allImages()[0]?.id ?? ""));
  if (anchor) scrollToAnchor(anchor);
  else draw();
  if (isFocusLost) focusCurrent();
}

function setCurrent(id) {
  if (id === current) return;
  markCurrent(false);
  current = id;
  markCurrent(true);
}

function markCurrent(isCurrent) {
  const controls = tiles.get(current)?.tile.querySelectorAll("a, input") ?? [];
  for (const control of controls) control.tabIndex = isCurrent ? 0 : -1;
}

/** Bring the rows in sight into the document, those of a window's height around them, and the current one. */
function draw() {
  const top = scrollY - gallery.offsetTop;
  const [first, last] = rowsBetween(layout, top - innerHeight, top + 2 * innerHeight);
  if (top + 3 * innerHeight > layout.height && hasMore()) loadMore();
  const wanted = { layout, first, last, current };
  if (Object.keys(wanted).every((name) => wanted[name] === drawn[name])) return;
  const rows = layout.rows.slice(first, last + 1);
  const pinned = layout.rowOf.get(current) ?? -1;
  if (pinned > last) rows.push(layout.rows[pinned]);
  else if (pinned >= 0 && pinned < first) rows.unshift(layout.rows[pinned]);
  removeOthers(rows);
  const isNew = drawn.layout !== layout;
  drawn = wanted;
  /** @type {?HTMLElement} */
  let section = null;
  /** @type {?HTMLElement} */
  let tile = null;
  for (const row of rows) {
    if (sections.get(row.day.key) !== section) tile = null;
    const own = tile && section ? section : drawSection(row.day, section, isNew);
    const list = own.querySelector("ul");
    section = own;
    for (const place of row.tiles) tile = drawTile(list, row, place, tile, isNew);
  }
  gallery.dispatchEvent(new Event("draw"));
}

/** Remove the tiles that are in none of some rows, and sections that are empty then. */
function removeOthers(rows) {
  const ids = new Set(rows.flatMap((row) => row.tiles.map(({ image }) => image.id)));
  for (const [id, { tile }] of tiles) {
    if (ids.has(id)) continue;
    releaseTile(tile);
    tiles.delete(id);
  }
  const days = new Set(rows.map(({ day }) => day.key));
  for (const [key, section] of sections) {
    if (days.has(key)) continue;
    section.remove();
    sections.delete(key);
  }
}

/** Return a day's section, after the one before it. */
function drawSection(day, previous, isNew) {
  const known = sections.get(day.key);
  const section = known ?? copyTemplate("day");
  if (!known) sections.set(day.key, section);
  if (!known || isNew) {
    Object.assign(section.style, { top: `${day.top}px`, height: `${day.height}px` });
    section.querySelector("h3").textContent = formatDay(day.key);
  }
  insertAfter(gallery, section, previous);
  return section;
}

function drawTile(list, row, { image, left, width }, previous, isNew) {
  const place = { left, top: row.top - row.day.top, width, height: row.height };
  const known = tiles.get(image.id);
  const tile = known?.tile ?? makeTile(image, place);
  if (known && isNew) placeTile(tile, image, place);
  if (known && known.image !== image) updateTile(tile, known.image, image, place);
  tiles.set(image.id, { tile, image });
  insertAfter(list, tile, previous);
  if (!known && image.id === current) markCurrent(true);
  return tile;
}

/** Insert an element after another one, or at the start; one that is there keeps the focus. */
function insertAfter(parent, child, previous) {
  const next = previous ? previous.nextSibling : parent.firstChild;
  if (next !== child) parent.insertBefore(child, next);
}
