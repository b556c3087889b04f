/** What others add and delete, and how many images there are: asked for while the page is in sight. */

import { countImages, listImages } from "./api.js";
import { element } from "./dom.js";
import { formatCount } from "./format.js";
import { allImages, currentSearch, exchange, findImage, hasMore, images, pageOf, placeOf } from "./images.js";
import { listQuery } from "./search.js";

/** Between two questions, and from a change until its consequences are asked for; milliseconds. */
const [INTERVAL, SETTLING] = [4000, 300];

/** Of a page of the list, as they are loaded. */
const LIMIT = 100;

let settling = 0;

/** Ask from now on. */
export function startLive() {
  const ask = () => document.visibilityState === "visible" && compare().catch(stopWithoutKey);
  const stopWithoutKey = ({ status }) => status === 401 && clearInterval(timer);
  const count = () => showCount().catch(() => {});
  const timer = setInterval(ask, INTERVAL);
  document.addEventListener("visibilitychange", ask);
  images.addEventListener("change", () => {
    clearTimeout(settling);
    settling = window.setTimeout(count, SETTLING);
  });
  count();
}

/** Show how many images there are, as far as that is known. */
async function showCount() {
  const search = currentSearch();
  const answer = await countImages(listQuery(search)).catch(() => null);
  if (search !== currentSearch()) return;
  element("count").hidden = !answer;
  if (!answer) return;
  element("count").textContent = formatCount(answer);
  element("count").dispatchEvent(new Event("change"));
}

/** Compare the newest images, and those around what is in sight, with what the service has. */
async function compare() {
  const tiles = [...document.querySelectorAll("#gallery li")];
  const shown = tiles.map(({ dataset }) => findImage(dataset.id)).filter((image) => image);
  const pages = new Map([{ cursor: "", after: null }, ...shown.map(pageOf)].map((page) => [page.cursor, page]));
  for (const page of pages.values()) await comparePage(page);
  await showCount();
}

/** Compare a page of the list with what is loaded of it. */
async function comparePage({ cursor, after }) {
  const search = currentSearch();
  const known = new Map(allImages().map((image) => [image.id, image])); // what changes from now on is the page's own
  const page = await listImages({ ...listQuery(search), limit: LIMIT, ...(cursor && { cursor }) });
  if (search !== currentSearch()) return;
  const listed = new Set(page.items.map(({ id }) => id));
  const last = page.items.at(-1);
  const end = page.next_cursor && last ? placeOf(last) : allImages().length;
  const gone = allImages()
    .slice(after ? placeOf(after) + 1 : 0, end)
    .filter(({ id }) => known.has(id) && !listed.has(id));
  const isNew = (image) => {
    const mine = findImage(image.id);
    if (mine !== known.get(image.id)) return false;
    if (mine) return ["filename", "placeholder", "url"].some((name) => mine[name] !== image[name]);
    return (!hasMore() || placeOf(image) < allImages().length);
  };
  const added = page.items.filter(isNew);
  if (added.length || gone.length) exchange(added, gone.map(({ id }) => id));
}
