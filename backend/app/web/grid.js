/** The grid: a tile an image, drawn as images come and go. */

import { fileUrl, thumbnailUrl } from "./api.js";
import { copyTemplate, element } from "./dom.js";
import { showImage } from "./image.js";
import { allImages, hasMore, images, loadMore } from "./images.js";

/** Of a tile's thumbnail; a first screen of larger ones would be several megabytes. */
const TILE_PIXELS = 300;

const gallery = element("gallery");

/** @type {Map<string, HTMLElement>} Tiles by id. */
const tiles = new Map();

/** Draw the images from now on. */
export function startGrid() {
  images.addEventListener("change", draw);
  draw();
}

/** Focus an image's tile; without one, the button that uploads. */
export function focusImage(image) {
  revealImage(image);
  const link = tiles.get(image?.id)?.querySelector("a");
  (link ?? element("add")).focus();
}

/** Scroll to an image's tile, if it is not in sight. */
export function revealImage(image) {
  tiles.get(image?.id)?.scrollIntoView({ block: "nearest" });
}

function draw() {
  const wanted = allImages();
  for (const [id, tile] of tiles) {
    if (wanted.some((image) => image.id === id)) continue;
    tile.remove();
    tiles.delete(id);
  }
  for (const [place, image] of wanted.entries()) {
    const tile = tiles.get(image.id) ?? makeTile(image);
    tiles.set(image.id, tile);
    if (gallery.children[place] !== tile) gallery.insertBefore(tile, gallery.children[place]);
  }
  element("empty").hidden = wanted.length > 0 || hasMore();
  endObserver.unobserve(element("end")); // so that an end that stays in sight is reported again
  endObserver.observe(element("end"));
}

function makeTile(image) {
  const tile = copyTemplate("tile");
  const link = tile.querySelector("a");
  link.href = `#${image.id}`;
  showImage(link, image, [thumbnailUrl(image, TILE_PIXELS), fileUrl(image)]);
  return tile;
}

const endObserver = new IntersectionObserver(
  (entries) => entries.at(-1)?.isIntersecting && loadMore(),
  { rootMargin: "100%" },
);
