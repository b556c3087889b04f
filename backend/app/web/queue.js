/** The queue of uploads: three run at once, and a list shows them all with a row each. */

import { element } from "./dom.js";

const MAX_RUNNING = 3;

const section = element("uploads");
const list = section.querySelector("ul");
const queued = [];
let running = 0;

/** Return whether any upload is running. */
export const isRunning = () => running > 0;

/** Add uploads, and their rows where the list has none. */
export function enqueue(uploads) {
  for (const upload of uploads) {
    if (!upload.row.isConnected) list.append(upload.row);
    queued.push(upload);
    startNext();
  }
  showSummary();
}

/** Remove an upload that has not started; return whether there was one. */
export function dequeue(upload) {
  const place = queued.indexOf(upload);
  return place >= 0 && queued.splice(place, 1).length > 0;
}

function startNext() {
  if (running === MAX_RUNNING || queued.length === 0) return;
  running += 1;
  const run = queued.shift().run();
  run.finally(() => {
    running -= 1;
    startNext();
  });
}

/** Remove the rows with some outcomes, given as CSS classes. */
export function clearRows(outcomes) {
  for (const row of list.querySelectorAll(outcomes)) row.remove();
  showSummary();
}

/** Show how many uploads are over. */
export function showSummary() {
  const all = list.children.length;
  const done = list.querySelectorAll(".over").length;
  section.hidden = all === 0;
  section.querySelector("h2").textContent = `${done} of ${all} done`;
  section.querySelector("header button").hidden = done < all;
}
