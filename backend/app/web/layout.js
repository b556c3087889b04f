/** Where tiles are: justified rows of images that keep their shape, a section a day. */

import { dayOf } from "./day.js";

/** Of the sides of a tile, width by height: images beyond them are cut. */
const [NARROWEST, WIDEST] = [0.5, 3];

/** A last row that is this full is stretched to the end as well. */
const FULL = 0.85;

/**
 * @typedef {{id: string, created_at: string, width: ?number, height: ?number}} Shape
 * @typedef {{image: Shape, left: number, width: number}} Tile  In pixels from its day's left edge.
 * @typedef {{top: number, height: number, first: number, day: Day, tiles: Tile[]}} Row
 *   Pixels from the top of the grid; first: the place of its first image among all.
 * @typedef {{key: number, top: number, height: number}} Day
 * @typedef {{rows: Row[], days: Day[], height: number, rowOf: Map<string, number>}} Layout
 */

/** Return the height, in pixels, that rows of a width should have. */
export const rowHeight = (width) => Math.round(Math.min(Math.max(width * 0.145, 104), 280));

/** Return the pixels between tiles in rows of a width. */
export const gapOf = (width) => Math.round(Math.min(Math.max(width / 180, 3), 8));

/** Return a tile's width divided by its height; 1 where the image's sides are not known. */
export const ratioOf = ({ width, height }) =>
  width && height ? Math.min(Math.max(width / height, NARROWEST), WIDEST) : 1;

/**
 * Lay out images, newest first, in rows of a width below headings of a height, in pixels. Where more
 * may follow, a last row that they would change is left out: what is shown stays as it is.
 * @param {Shape[]} images
 * @returns {Layout}
 */
export function layOut(images, width, heading, mayFollow = false) {
  const gap = gapOf(width);
  /** @type {Layout} */
  const layout = { rows: [], days: [], height: 0, rowOf: new Map() };
  for (let end = 0, start = 0; start < images.length; start = end) {
    const [key, midnight] = dayOf(images[start].created_at);
    while (end < images.length && images[end].created_at >= midnight) end += 1;
    const day = { key, top: layout.height, height: heading };
    layout.days.push(day);
    for (let first = start; first < end; ) {
      const { tiles, height, isFull } = fillRow(images, first, end, width, gap);
      if (mayFollow && !isFull && end === images.length) break;
      const row = { top: day.top + day.height, height, first, day, tiles };
      for (const { image } of tiles) layout.rowOf.set(image.id, layout.rows.length);
      layout.rows.push(row);
      day.height += height + gap;
      first += tiles.length;
    }
    layout.height += day.height;
  }
  return layout;
}

/** Return the row that begins with an image, and ends before another at the latest. */
function fillRow(images, first, end, width, gap) {
  const wanted = rowHeight(width);
  /** The height at which some images, of which this is the sum of ratios, fill the width. */
  const filling = (count, sum) => (width - gap * (count - 1)) / sum;
  let [count, sum] = [1, ratioOf(images[first])];
  while (first + count < end && filling(count, sum) > wanted) {
    const next = sum + ratioOf(images[first + count]);
    const [taller, lower] = [filling(count, sum), filling(count + 1, next)];
    if (lower < wanted && taller / wanted < wanted / lower) break; // the nearer of the two
    [count, sum] = [count + 1, next];
  }
  const full = filling(count, sum);
  const isOpen = first + count === end && full * FULL > wanted;
  const height = Math.round(isOpen ? wanted : full);
  const tiles = [];
  for (let [place, edge] = [first, 0]; place < first + count; place += 1) {
    const left = Math.round(edge);
    edge += ratioOf(images[place]) * (isOpen ? wanted : full);
    const isLast = !isOpen && place === first + count - 1;
    tiles.push({ image: images[place], left, width: (isLast ? width : Math.round(edge)) - left });
    edge += gap;
  }
  return { tiles, height, isFull: full <= wanted || first + count < end };
}

/** Return the first and the last of the rows that are between two heights; none: the first is larger. */
export function rowsBetween({ rows }, top, bottom) {
  return [search(rows, (row) => row.top + row.height > top), search(rows, (row) => row.top >= bottom) - 1];
}

/** Return the place of the first row of which something is true, as of all that follow it. */
function search(rows, isTrue) {
  let [low, high] = [0, rows.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (isTrue(rows[middle])) high = middle;
    else low = middle + 1;
  }
  return low;
}
