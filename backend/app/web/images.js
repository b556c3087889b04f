/** The images of the current search, newest first, as far as they are loaded. */

import { listImages } from "./api.js";
import { countDown } from "./countdown.js";
import { element } from "./dom.js";
import { MAX_ATTEMPTS } from "./errors.js";
import { announceInViewer } from "./messages.js";
import { listQuery } from "./search.js";

/** Of the first page, which is waited for, and of the others. */
const [FIRST_PAGE, PAGE] = [60, 100];

/** "change" is dispatched when images come, change or go, or the end is known. */
export const images = new EventTarget();

/** @type {ApiImage[]} */
let loaded = [];

/** The same by id. @type {Map<string, ApiImage>} */
let byId = new Map();

/** @type {import("./search.js").Search} */
let search = {};

/** @type {?string} Of the next page: "" for the first one, null after the last. */
let cursor = "";

/** @type {{cursor: string, after: ApiImage}[]} Of the pages that followed the first one. */
let bookmarks = [];

/** @type {?Promise<void>} The page that is loading. */
let loading = null;

/** Return the images that are loaded. */
export const allImages = () => loaded;

/** Return the image with an id, if it is loaded. */
export const findImage = (id) => byId.get(id);

/** Return the image after another (1) or before it (-1), if there is one; also of one that is gone. */
export function neighbourOf(image, direction) {
  const place = placeOf(image);
  if (place === loaded.length) return undefined;
  return loaded[byId.has(image.id) || direction < 0 ? place + direction : place];
}

/** Return whether more images may follow the last one. */
export const hasMore = () => cursor !== null;

/** Return whether older images follow those that are loaded. */
export const hasOlder = () => Boolean(cursor);

/** What orders images: without its Z, a time without fractions is before those with some. */
const timeOf = ({ created_at }) => created_at.slice(0, -1);
const isNewer = (a, b) => (timeOf(a) === timeOf(b) ? a.id > b.id : timeOf(a) > timeOf(b));

/** Return the place of an image in the list, or the one that it would have. */
export function placeOf(image) {
  let [low, high] = [0, loaded.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (isNewer(loaded[middle], image)) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** Add an image at its place. */
export const addImage = (image) => exchange([image], []);

/** Replace an image by what is known of it since, as its new name. */
export const updateImage = (image) => byId.has(image.id) && exchange([image], []);

/** Remove the images with some ids. */
export const removeImages = (ids) => exchange([], ids);

/** Add images, or replace them by what is known of them since, and remove those with some ids. */
export function exchange(added, removed) {
  const gone = new Set(removed);
  if (gone.size) loaded = loaded.filter(({ id }) => !gone.has(id));
  for (const id of gone) byId.delete(id);
  for (const image of added) {
    loaded.splice(placeOf(image), byId.has(image.id) ? 1 : 0, image);
    byId.set(image.id, image);
  }
  noteChange();
}

/** Return the page of the list that has an image: its cursor, and the image that it follows. */
export const pageOf = (image) =>
  bookmarks.findLast(({ after }) => isNewer(after, image)) ?? { cursor: "", after: null };

/** Return the search whose images are shown. */
export const currentSearch = () => search;

/** Search: what was loaded goes, and the first page is loaded. */
export function setSearch(wanted) {
  search = wanted;
  loaded = [];
  byId = new Map();
  cursor = "";
  bookmarks = [];
  loading = null;
  retry();
  noteChange();
  return loadMore();
}

const noteChange = () => images.dispatchEvent(new Event("change"));

/** Load the next page, if there is one; settled when it is there, however long that takes. */
export function loadMore() {
  if (!hasMore() || loading) return loading;
  const mine = loadPage(search).finally(() => {
    if (loading === mine) loading = null;
  });
  loading = mine;
  return loading;
}

/** Load the next page without the wait before a retry. */
export function loadMoreNow() {
  retry();
  return loadMore();
}

const retry = () => element("failure").querySelector("button").click();

/** Load a page; its images are of no use once there is another search. */
async function loadPage(mine) {
  const query = { ...listQuery(mine), limit: cursor ? PAGE : FIRST_PAGE, ...(cursor && { cursor }) };
  /** @type {?ApiImageList | void} */
  let page = null;
  for (let attempt = 1; !page && search === mine; attempt += 1) {
    element("loading").hidden = false;
    page = await listImages(query).catch((error) => {
      if (search === mine) return showFailure(error, attempt);
    });
  }
  if (!page || search !== mine) return;
  element("loading").hidden = true;
  cursor = page.next_cursor;
  if (cursor) bookmarks.push({ cursor, after: page.items[page.items.length - 1] });
  loading = null; // for who hears of the change may want the next one
  exchange(page.items, []);
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
