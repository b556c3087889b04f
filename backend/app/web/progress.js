/** The arithmetic of the list of uploads: how far they are, which rows it shows, the time left. */

/**
 * @typedef {"waiting" | "running" | "succeeded" | "failed" | "keepable" | "refused" | "cancelled"}
 *   State  failed: may be retried; keepable: would be stored with its metadata.
 * @typedef {object} Item  What is to be known of an upload.
 * @property {State} state
 * @property {number} size  Bytes.
 * @property {number} loaded  Bytes that have been sent.
 * @property {number} finished  When it ended; greater is later.
 */

/** Of rows: 200 files stay readable. */
const MAX_DONE = 5;
const MAX_FAILED = 100;

/** How long the past is that tells the future, and how much of it is needed, in milliseconds. */
const WINDOW_MS = 15_000;
const LEAST_MS = 2_000;

/** Return whether an upload has failed. @param {Item} item */
export const hasFailed = ({ state }) => ["failed", "keepable", "refused"].includes(state);

/** Sum uploads up. @param {Item[]} items */
export function summarise(items) {
  const count = (...states) => items.filter(({ state }) => states.includes(state)).length;
  const sum = (value) => items.reduce((total, item) => total + value(item), 0);
  const waiting = count("waiting");
  const running = count("running");
  const isOver = ({ state }) => state !== "waiting" && state !== "running";
  const size = sum((item) => item.size);
  const left = sum((item) => (isOver(item) ? 0 : item.size - item.loaded));
  return {
    all: items.length,
    over: items.length - waiting - running,
    added: count("succeeded"),
    failed: items.filter(hasFailed).length,
    retryable: count("failed"),
    keepable: count("keepable"),
    cancelled: count("cancelled"),
    waiting,
    size,
    left,
    fraction: size ? 1 - left / size : 1,
  };
}

/** Return the uploads that have a row each. @template {Item} T @param {T[]} items */
export function rowsOf(items) {
  const done = items.filter(({ state }) => state === "succeeded" || state === "cancelled");
  return {
    running: items.filter(({ state }) => state === "running"),
    failed: items.filter(hasFailed).slice(0, MAX_FAILED),
    done: done.sort((a, b) => b.finished - a.finished).slice(0, MAX_DONE),
  };
}

/** Say what became of uploads, as "57 added, 3 failed". */
export const outcomeOf = ({ added, failed, cancelled }) =>
  Object.entries({ added, failed, cancelled })
    .filter(([, count]) => count)
    .map(([word, count]) => `${count} ${word}`)
    .join(", ");

/** Say how long something takes; nothing if that is not known. @param {number} seconds */
export function inWords(seconds) {
  if (!(seconds < 86_400)) return "";
  if (seconds < 10) return "a few seconds left";
  if (seconds < 60) return "less than a minute left";
  const minutes = Math.round(seconds / 60);
  return minutes < 90 ? `about ${minutes} min left` : `about ${Math.round(minutes / 60)} h left`;
}

/** How fast bytes have been sent lately. */
export class Pace {
  /** @type {{sent: number, time: number}[]} */
  #samples = [];

  /** Note the bytes that have been sent in all at a time, in milliseconds. */
  note(sent, time) {
    this.#samples.push({ sent, time });
    while (this.#samples[1]?.time <= time - WINDOW_MS) this.#samples.shift();
  }

  /** Return how many seconds more bytes take at this pace; Infinity if that cannot be said. */
  secondsFor(bytes) {
    const [first, last] = [this.#samples[0], this.#samples.at(-1)];
    const time = last ? last.time - first.time : 0;
    return time < LEAST_MS ? Infinity : (bytes * time) / (last.sent - first.sent) / 1000;
  }
}
