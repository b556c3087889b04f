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

/** Format how many pictures there are. */
export const formatCount = ({ count, exact }) =>
  `${count.toLocaleString()}${exact ? "" : "+"} ${count === 1 ? "picture" : "pictures"}`;

/** Format a day like 2026-11-30. */
export const formatDate = (day) =>
  new Date(`${day}T00:00`).toLocaleDateString(undefined, { dateStyle: "medium" });
