/** A search, as the address names it, and as the list of images takes it. */

/**
 * @typedef {object} Search  What there is of it.
 * @property {string} [q]     Words of names and of what cameras wrote.
 * @property {string} [type]  A media type.
 * @property {string} [from]  The first day of upload where the reader is, as 2026-11-30.
 * @property {string} [to]    The last one.
 */

export const TYPES = ["jpeg", "png", "gif", "webp", "avif", "heic"].map((type) => `image/${type}`);

const isDay = (text) => /^(19[7-9]|2\d\d)\d-\d\d-\d\d$/.test(text) && !Number.isNaN(startOf(text));

/** What makes sense in a search, by its name in the address. */
const CHECKS = { q: Boolean, type: (text) => TYPES.includes(text), from: isDay, to: isDay };

/** Return a search without what is empty or makes no sense. @returns {Search} */
export function tidySearch(wanted) {
  const entries = Object.keys(CHECKS).map((name) => [name, wanted[name]?.trim() ?? ""]);
  return Object.fromEntries(entries.filter(([name, text]) => CHECKS[name](text)));
}

/** Return the search of an address's query. */
export const parseSearch = (query) => tidySearch(Object.fromEntries(new URLSearchParams(query)));

/** Return the query of an address for a search: "" for none. @param {Search} search */
export function formatSearch(search) {
  const query = String(new URLSearchParams(tidySearch(search))).replaceAll("%2F", "/");
  return query && `?${query}`;
}

/** Return whether a search leaves nothing out. @param {Search} search */
export const isEverything = (search) => formatSearch(search) === "";

/** Return what the list of images is asked for: a day there is a time. @param {Search} search */
export function listQuery({ from, to, ...others }) {
  const time = (day, days) => new Date(startOf(day, days)).toISOString();
  return { ...others, ...(from && { from: time(from) }), ...(to && { to: time(to, 1) }) };
}

/** Return when a day begins where the reader is, or one some days later, in milliseconds. */
function startOf(day, days = 0) {
  const date = new Date(`${day}T00:00`);
  return date.setDate(date.getDate() + days);
}
