/** The gallery: a tile an image, newest first, loaded page by page as one scrolls. */

import { fileUrl, listImages, thumbnailUrl } from "./api.js";
import { countDown } from "./countdown.js";
import { copyTemplate, element } from "./dom.js";
import { MAX_ATTEMPTS } from "./errors.js";
import { showImage } from "./image.js";
import { announceInViewer } from "./messages.js";

const PAGE_SIZE = 60;

/** Of a tile's thumbnail; a first screen of larger ones would be several megabytes. */
const TILE_PIXELS = 300;

/** The list of tiles; "change" is dispatched when tiles come or go, or the end is known. */
export const gallery = element("gallery");

/** @type {Map<string, {image: ApiImage, tile: HTMLElement}>} By id. */
const shown = new Map();

/** @type {?string} Of the next page: "" for the first one, null after the last. */
let cursor = "";

/** The page that is loading. */
let loading = null;

/** Add a tile at the end, or at the start for a new image. */
export function addTile(image, isNewest = false) {
  if (shown.has(image.id)) return;
  const tile = copyTemplate("tile");
  const link = tile.querySelector("a");
  link.href = `#${image.id}`;
  showImage(link, image, [thumbnailUrl(image, TILE_PIXELS), fileUrl(image)]);
  shown.set(image.id, { image, tile });
  gallery[isNewest ? "prepend" : "append"](tile);
  noteChange();
}

/** Remove an image's tile. */
export function removeTile({ id }) {
  shown.get(id)?.tile.remove();
  shown.delete(id);
  noteChange();
}

/** Return the image with an id, if it has a tile. */
export const findImage = (id) => shown.get(id)?.image;

/** Return the image after another (1) or before it (-1), if there is one. */
export function neighbourOf({ id }, direction) {
  const tile = shown.get(id)?.tile;
  const next = direction > 0 ? tile?.nextElementSibling : tile?.previousElementSibling;
  return findImage(next?.querySelector("a").hash.slice(1));
}

/** Focus an image's tile; without one, the button that uploads. */
export function focusImage(image) {
  const link = shown.get(image?.id)?.tile.querySelector("a");
  (link ?? element("add")).focus();
}

/** Return whether more images may follow the last tile. */
export const hasMore = () => cursor !== null;

function noteChange() {
  element("empty").hidden = shown.size > 0 || hasMore();
  gallery.dispatchEvent(new Event("change"));
}

/** Load the next page, if there is one; settled when it is there, however long that takes. */
export function loadMore() {
  if (hasMore()) loading ??= loadPage().finally(() => (loading = null));
  return loading;
}

/** Load the next page without the wait before a retry. */
export function loadMoreNow() {
  element("failure").querySelector("button").click();
  return loadMore();
}

async function loadPage() {
  const query = { limit: PAGE_SIZE, ...(cursor && { cursor }) };
  let page = null;
  for (let attempt = 1; !page; attempt += 1) {
    element("loading").hidden = false;
    page = await listImages(query).catch((error) => showFailure(error, attempt));
  }
  element("loading").hidden = true;
  cursor = page.next_cursor;
  for (const image of page.items) addTile(image);
  noteChange();
  endObserver.unobserve(element("end")); // so that an end that stays in sight is reported again
  endObserver.observe(element("end"));
}

/** Show why there are no images, until it is time to retry. */
async function showFailure({ message, retryAfter }, attempt) {
  const box = element("failure");
  const [sentence, countdown] = box.querySelectorAll("p");
  const seconds = attempt < MAX_ATTEMPTS ? (retryAfter ?? Infinity) : Infinity;
  element("loading").hidden = true;
  box.hidden = false;
  sentence.textContent = message;
  announceInViewer(message);
  await countDown(seconds, countdown, box.querySelector("button"));
  box.hidden = true;
}

const endObserver = new IntersectionObserver(
  (entries) => entries.at(-1).isIntersecting && loadMore(),
  { rootMargin: "100%" },
);
