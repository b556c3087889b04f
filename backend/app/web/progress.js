/** The arithmetic of the list of uploads: how far they are, which rows it shows, the time left. */

/**
 * @typedef {object} Item  What is to be known of an upload.
 * @property {"waiting" | "running" | "succeeded" | "failed" | "keepable" | "refused" | "cancelled"}
 *   state  failed: may be sent again; keepable: would be stored with its metadata.
 * @property {number} size  Bytes.
 * @property {number} loaded  Bytes that have been sent.
 * @property {number} finished  When it ended; greater is later.
 */

/** Of rows: 200 files stay readable. */
const MAX_DONE = 5;
const MAX_FAILED = 100;

/** How long the past is that tells the future, and how much of it is needed. */
const WINDOW_MS = 15_000;
const LEAST_MS = 2_000;

/** Sum uploads up, and name those that have a row each. @template {Item} T @param {T[]} items */
export function summarise(items) {
  const of = (...states) => items.filter(({ state }) => states.includes(state));
  const unfinished = of("waiting", "running");
  const failed = of("failed", "keepable", "refused");
  const done = of("succeeded", "cancelled").sort((a, b) => b.finished - a.finished);
  const size = items.reduce((sum, item) => sum + item.size, 0);
  const left = unfinished.reduce((sum, item) => sum + item.size - item.loaded, 0);
  return {
    all: items.length,
    over: items.length - unfinished.length,
    waiting: of("waiting").length,
    added: of("succeeded").length,
    failed: failed.length,
    cancelled: of("cancelled").length,
    retryable: of("failed").length,
    keepable: of("keepable").length,
    size,
    left,
    fraction: size ? 1 - left / size : 1,
    rows: {
      running: of("running"),
      failed: failed.slice(0, MAX_FAILED),
      done: done.slice(0, MAX_DONE),
    },
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
    const [first, last = first] = [this.#samples[0], this.#samples.at(-1)];
    const time = last?.time - first?.time;
    return time >= LEAST_MS ? (bytes * time) / (last.sent - first.sent) / 1000 : Infinity;
  }
}
