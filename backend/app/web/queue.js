/** The queue of uploads: they run in the order in which they came, three at once. */

const MAX_RUNNING = 3;

/** "change" is dispatched when uploads are added, begin, end, or leave the list. */
export const queue = new EventTarget();

/** @type {import("./upload.js").Upload[]} */
let uploads = [];
let running = 0;

/** Return the uploads of the list. */
export const allUploads = () => uploads;

/** Return whether any upload is running. */
export const isRunning = () => running > 0;

export const noteChange = () => queue.dispatchEvent(new Event("change"));

/** Add uploads; those of an earlier time leave the list, unless they can be tried again. */
export function enqueue(added) {
  if (!isRunning()) uploads = uploads.filter((upload) => upload.canRestart);
  uploads.push(...added);
  startNext();
  noteChange();
}

/** Run what waits, as far as there is room. */
export function startNext() {
  while (running < MAX_RUNNING) {
    const next = uploads.find(({ state }) => state === "waiting");
    if (!next) return;
    running += 1;
    next.run().finally(() => {
      running -= 1;
      startNext();
      noteChange();
    });
  }
}

/** Cancel all that waits or can still be stopped. */
export function cancelAll() {
  for (const upload of uploads) upload.cancel();
  noteChange();
}

/** Try again all uploads that ended in a state. @param {"failed" | "keepable"} wanted */
export function restartAll(wanted) {
  for (const upload of uploads) if (upload.state === wanted) upload.reset();
  startNext();
  noteChange();
}

/** Empty the list, after all has ended. */
export function clearUploads() {
  uploads = [];
  noteChange();
}
