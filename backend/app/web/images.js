/** The images of the current search, newest first, as far as they are loaded. */

import { listImages } from "./api.js";
import { countDown } from "./countdown.js";
import { element } from "./dom.js";
import { MAX_ATTEMPTS } from "./errors.js";
import { announceInViewer } from "./messages.js";
import { listQuery } from "./search.js";

const PAGE_SIZE = 60;

/** "change" is dispatched when images come, change or go, or the end is known. */
export const images = new EventTarget();

/** @type {ApiImage[]} */
let loaded = [];

/** @type {import("./search.js").Search} */
let search = {};

/** @type {?string} Of the next page: "" for the first one, null after the last. */
let cursor = "";

/** @type {?Promise<void>} The page that is loading. */
let loading = null;

/** Return the images that are loaded. */
export const allImages = () => loaded;

/** Return the image with an id, if it is loaded. */
export const findImage = (id) => loaded.find((image) => image.id === id);

/** Return the image after another (1) or before it (-1), if there is one. */
export function neighbourOf({ id }, direction) {
  const place = loaded.findIndex((image) => image.id === id);
  return place < 0 ? undefined : loaded[place + direction];
}

/** Return whether more images may follow the last one. */
export const hasMore = () => cursor !== null;

const isNewer = (a, b) =>
  a.created_at === b.created_at ? a.id > b.id : a.created_at > b.created_at;

/** Add an image at its place. */
export function addImage(image) {
  if (findImage(image.id)) return;
  const place = loaded.findIndex((other) => isNewer(image, other));
  loaded.splice(place < 0 ? loaded.length : place, 0, image);
  noteChange();
}

/** Replace an image by what is known of it since, as its new name. */
export function updateImage(image) {
  loaded = loaded.map((known) => (known.id === image.id ? image : known));
  noteChange();
}

/** Remove the images with some ids. */
export function removeImages(ids) {
  loaded = loaded.filter(({ id }) => !ids.includes(id));
  noteChange();
}

/** Return the search whose images are shown. */
export const currentSearch = () => search;

/** Search: what was loaded goes, and the first page is loaded. */
export function setSearch(wanted) {
  search = wanted;
  loaded = [];
  cursor = "";
  noteChange();
  return loadMore();
}

const noteChange = () => images.dispatchEvent(new Event("change"));

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
  const query = { ...listQuery(search), limit: PAGE_SIZE, ...(cursor && { cursor }) };
  /** @type {?ApiImageList | void} */
  let page = null;
  for (let attempt = 1; !page; attempt += 1) {
    element("loading").hidden = false;
    page = await listImages(query).catch((error) => showFailure(error, attempt));
  }
  element("loading").hidden = true;
  cursor = page.next_cursor;
  loaded = [...loaded, ...page.items.filter(({ id }) => !findImage(id))];
  noteChange();
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
