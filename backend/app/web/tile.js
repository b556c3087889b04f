/** A tile: an image in the grid, a link that opens it, its name, and a box that selects it. */

import { fileUrl, thumbnailUrl } from "./api.js";
import { copyTemplate } from "./dom.js";
import { showImage } from "./image.js";
import { previewOf } from "./previews.js";

/** How far a thumbnail may be enlarged: on most screens the next size is seven times the bytes. */
const ENLARGED = 1.25;

/** Of a tile's thumbnail, where the browser does not choose. */
const TILE_PIXELS = 300;

/** Make the tile of an image that has a place in the grid. */
export function makeTile(image, place) {
  const tile = copyTemplate("tile");
  tile.dataset.id = image.id;
  tile.querySelector("a").href = `#${image.id}`;
  nameTile(tile, image);
  placeTile(tile, image, place);
  fillTile(tile, image, place);
  return tile;
}

/** Show the image. */
function fillTile(tile, image, place) {
  const picture = tile.querySelector(".image");
  const addresses = [previewOf(image.id), thumbnailUrl(image, TILE_PIXELS), fileUrl(image)];
  picture.classList.toggle("clear", mayBeTransparent(image));
  showImage(picture, image, addresses, { srcset: srcsetOf(image), sizes: sizesOf(image, place) });
}

/** Show what is known of an image since: its name, and its addresses if they are others. */
export function updateTile(tile, previous, image, place) {
  nameTile(tile, image);
  if (fileUrl(previous) === fileUrl(image)) return;
  const img = tile.querySelector("img");
  if (img.className) fillTile(tile, image, place); // it has not loaded, or could not be
  else if (img.srcset) img.srcset = srcsetOf(image);
}

/** Show an image's name. */
function nameTile(tile, { filename }) {
  tile.querySelector(".name").textContent = filename;
  tile.querySelector("input").ariaLabel = `Select ${filename}`;
  const img = tile.querySelector("img");
  if (img) img.alt = filename;
}

/** Put a tile in its place, in pixels. @param {{left, top, width, height}} place */
export function placeTile(tile, image, place) {
  for (const [name, pixels] of Object.entries(place)) tile.style[name] = `${pixels}px`;
  const img = tile.querySelector("img");
  if (img?.srcset) img.sizes = sizesOf(image, place);
}

/** Stop what a tile that leaves the document still loads. */
export function releaseTile(tile) {
  for (const name of ["srcset", "src"]) tile.querySelector("img").removeAttribute(name);
  tile.remove();
}

/** Return the thumbnails of an image for the browser to choose from, each width once. */
function srcsetOf({ id, thumbnails = {} }) {
  const widths = new Map();
  for (const [size, { width }] of Object.entries(thumbnails)) {
    if (!widths.has(width ?? size)) widths.set(width ?? size, size);
  }
  return [...widths].map(([width, size]) => `${thumbnailUrl({ id, thumbnails }, size)} ${width}w`).join();
}

/** Return the width that an image's thumbnail should have; a panorama is wider than its tile. */
function sizesOf(image, { width, height }) {
  const whole = image.width ? (height * image.width) / image.height : width;
  return `${Math.round(Math.max(width, whole) / ENLARGED)}px`;
}

/** Return whether an image may be transparent, by a bit of its ThumbHash, else by its type. */
function mayBeTransparent({ placeholder, content_type }) {
  return placeholder ? atob(placeholder).charCodeAt(2) > 127 : content_type !== "image/jpeg";
}
