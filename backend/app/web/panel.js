/** The list of uploads: how far all are, and a row for each that needs one. */

import { copyTemplate, element } from "./dom.js";
import "./later.js";
import { formatBytes } from "./format.js";
import { announceInViewer } from "./messages.js";
import { inWords, outcomeOf, Pace, summarise } from "./progress.js";
import { allUploads, cancelAll, clearUploads, isRunning, queue, restartAll } from "./queue.js";
import { sentInAll } from "./upload.js";

const TICK_MS = 500;
const SPOKEN_MS = 30_000;

/** More files than this are folded on a phone, where the list would cover the pictures. */
const MAX_UNFOLDED = 3;

/** A failed upload is spoken by its row, unless there are more. */
const MAX_SPOKEN = 3;

const panel = copyTemplate("uploads");
const part = (selector) => panel.querySelector(selector);
const [foldButton, close, stop] = panel.querySelectorAll("header button");
const retry = part(".retry-all");
const keep = part(".keep-all");

let pace = new Pace();
let timer = 0;
let spokenAt = 0;

/** Draw the uploads from now on. */
export function startPanel() {
  panel.hidden = true;
  document.querySelector("main").before(panel);
  queue.addEventListener("change", draw);
  foldButton.addEventListener("click", () => fold(foldButton.ariaExpanded === "true"));
  stop.addEventListener("click", cancelAll);
  retry.addEventListener("click", () => restartAll("failed"));
  keep.addEventListener("click", () => restartAll("keepable"));
  close.addEventListener("click", () => {
    clearUploads();
    element("add").focus();
  });
}

function fold(isFolded) {
  foldButton.ariaExpanded = String(!isFolded);
  panel.classList.toggle("folded", isFolded);
}

function draw() {
  const summary = summarise(allUploads());
  const { rows } = summary;
  if (!timer && isRunning()) begin(summary);
  const focused = panel.contains(document.activeElement) && document.activeElement;
  for (const [name, items] of Object.entries(rows)) fill(part(`.${name}`), items);
  write(".more-waiting", summary.waiting, "waiting");
  write(".more-failed", summary.failed - rows.failed.length, "failed");
  write(".more-done", summary.over - summary.failed - rows.done.length, "done");
  part("h3").textContent = `${summary.failed} failed`;
  part(".failures").hidden = summary.failed === 0;
  part(".failed").ariaLive = summary.failed > MAX_SPOKEN ? "off" : "polite";
  retry.hidden = summary.retryable < 2;
  keep.hidden = summary.keepable < 2;
  close.hidden = summary.over < summary.all;
  stop.hidden = summary.all - summary.over < 2;
  panel.hidden = summary.all === 0;
  drawTotals(summary);
  if (focused) keepFocus(focused);
  if (timer && !isRunning()) end(summary);
}

function drawTotals(summary) {
  const { all, over, size, left, fraction } = summary;
  part("h2").textContent = `${over} of ${all} done`;
  part("header progress").value = fraction;
  part("header progress").hidden = all < 2 || over === all;
  const sent = `${formatBytes(size - left)} of ${formatBytes(size)}`;
  const going = [sent, inWords(pace.secondsFor(left))].filter(Boolean).join(" · ");
  part("header p").textContent = over < all ? going : outcomeOf(summary);
}

/** Put the rows of some uploads into a list, and take all others out. */
function fill(list, uploads) {
  const rows = uploads.map(({ row }) => row);
  for (const row of [...list.children]) if (!rows.includes(row)) row.remove();
  for (const [place, row] of rows.entries()) {
    if (list.children[place] !== row) list.insertBefore(row, list.children[place] ?? null);
  }
}

function write(selector, count, word) {
  part(selector).hidden = count === 0;
  part(selector).textContent = `${count} more ${word}`;
}

/** Focus what had the focus before it moved or went, or what is nearest to it. */
function keepFocus(focused) {
  const places = [focused, focused.closest("li"), close, foldButton];
  const place = places.find((place) => place?.checkVisibility());
  if (place && place !== document.activeElement) place.focus();
}

function begin({ all, over }) {
  pace = new Pace();
  spokenAt = Date.now();
  const isCrowded = all - over > MAX_UNFOLDED && matchMedia("(max-width: 40rem)").matches;
  if (panel.hidden) fold(isCrowded);
  speak(`Sending ${all - over === 1 ? "1 picture" : `${all - over} pictures`}`);
  timer = setInterval(tick, TICK_MS);
}

function tick() {
  pace.note(sentInAll, Date.now());
  const summary = summarise(allUploads());
  drawTotals(summary);
  if (Date.now() < spokenAt + SPOKEN_MS) return;
  spokenAt = Date.now();
  speak(`${part("h2").textContent}. ${inWords(pace.secondsFor(summary.left))}`);
}

function end(summary) {
  clearInterval(timer);
  timer = 0;
  speak(outcomeOf(summary));
}

/** Say something to screen readers alone, or in the viewer, which hides the list. */
function speak(sentence) {
  element("heard").textContent = sentence;
  announceInViewer(sentence);
}
