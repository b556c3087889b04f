/** Sizes, types, times and links as text. */

/** Format a number of bytes. */
export function formatBytes(count) {
  const units = ["bytes", "KiB", "MiB", "GiB"];
  const power = Math.min(Math.floor(Math.log2(Math.max(count, 1)) / 10), 3);
  const digits = { maximumFractionDigits: power ? 1 : 0 };
  return `${(count / 1024 ** power).toLocaleString(undefined, digits)} ${units[power]}`;
}

/** Format a media type of images. */
export const formatType = (type) =>
  type === "image/webp" ? "WebP" : type.replace("image/", "").toUpperCase();

/** Format an ISO 8601 time in a time zone, else the reader's. */
export const formatTime = (time, timeZone) =>
  new Date(time).toLocaleString(undefined, { dateStyle: "long", timeStyle: "short", timeZone });

/** Format a day, given as a number like 20261130, as people name it: without this year. */
export function formatDay(key, now = new Date()) {
  const date = new Date(Math.floor(key / 10000), (Math.floor(key / 100) % 100) - 1, key % 100);
  const days = Math.round((new Date(now).setHours(0, 0, 0, 0) - date.getTime()) / 86_400_000);
  if (days === 0) return "Today";
  if (days === 1) return "Yesterday";
  const year = date.getFullYear() === now.getFullYear() ? undefined : "numeric";
  return date.toLocaleDateString(undefined, { weekday: "short", day: "numeric", month: "long", year });
}

/** Format how many pictures there are. */
export const formatCount = ({ count, exact }) =>
  `${count.toLocaleString()}${exact ? "" : "+"} ${count === 1 ? "picture" : "pictures"}`;

/** Format a day like 2026-11-30. */
export const formatDate = (day) =>
  new Date(`${day}T00:00`).toLocaleDateString(undefined, { dateStyle: "medium" });
