/** Days where the reader is, as numbers like 20261130. */

/**
 * Return a time's day, and when it began, in UTC.
 * @returns {[number, string]}
 */
export function dayOf(time) {
  const date = new Date(time);
  const key = (date.getFullYear() * 100 + date.getMonth() + 1) * 100 + date.getDate();
  return [key, new Date(date.setHours(0, 0, 0, 0)).toISOString().slice(0, 19)];
}

/** Format a day, as people name it: without this year. */
export function formatDay(key, now = new Date()) {
  const date = new Date(Math.floor(key / 10000), (Math.floor(key / 100) % 100) - 1, key % 100);
  const days = Math.round((new Date(now).setHours(0, 0, 0, 0) - date.getTime()) / 86_400_000);
  if (days === 0) return "Today";
  if (days === 1) return "Yesterday";
  const year = date.getFullYear() === now.getFullYear() ? undefined : "numeric";
  return date.toLocaleDateString(undefined, { weekday: "short", day: "numeric", month: "long", year });
}
