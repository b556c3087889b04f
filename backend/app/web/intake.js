/** How files come in: chosen in a dialog, dropped anywhere on the page, or pasted. */

import { limits } from "./api.js";
import { openDialog, whenClosed } from "./dom.js";
import { readTransfer } from "./dropped.js";
import { formatBytes } from "./format.js";
import { announce, announceInViewer, TYPES } from "./messages.js";
import { clearRows, enqueue } from "./queue.js";
import { Upload } from "./upload.js";

/** Whether files lose their metadata: what the person chose last, also for a drop and a paste. */
let isStripped = true;

/** Let the person choose files, and upload them. */
export async function chooseFiles() {
  const dialog = openDialog("chooser");
  const strip = dialog.querySelector("[type=checkbox]");
  strip.checked = isStripped;
  strip.addEventListener("change", () => {
    isStripped = strip.checked;
    document.documentElement.classList.toggle("keeping", !isStripped);
  });
  const most = limits.max_upload_bytes;
  const size = Number.isFinite(most) ? `, up to ${formatBytes(most)} each` : "";
  dialog.querySelector(".quiet").textContent =
    `${TYPES}${size}. You can also drop files and folders anywhere on the page, or paste them.`;
  if (await whenClosed(dialog)) addFiles(dialog.querySelector("[type=file]").files);
}

function addFiles(files) {
  if (files.length === 0) return;
  document.querySelector(".chooser")?.close();
  announceInViewer("Uploading");
  clearRows(".succeeded, .cancelled, .refused");
  enqueue([...files].map((file) => new Upload(file, isStripped)));
}

/** Add what is dropped or pasted; of what folders hold, the images. */
async function addTransfer(transfer) {
  const { files, hasFolder, skipped } = await readTransfer(transfer, limits.accepted_types);
  addFiles(files);
  const count = skipped === 1 ? "1 file" : `${skipped} files`;
  if (skipped) announce(`Skipped ${count}: hidden, unreadable, or not ${TYPES}.`);
  else if (hasFolder && files.length === 0) announce("The folder has no files.");
}

/** Upload files that are dropped or pasted from now on. */
export function acceptTransfers() {
  let isOwn = false; // a tile that is dragged looks like a file
  const mark = (isDropping) => document.documentElement.classList.toggle("dropping", isDropping);
  const accepts = (event) => {
    const isFile = !isOwn && event.dataTransfer.types.includes("Files");
    if (isFile) event.preventDefault();
    return isFile;
  };
  addEventListener("dragstart", () => (isOwn = true));
  addEventListener("dragend", () => (isOwn = false));
  addEventListener("dragover", (event) => accepts(event) && mark(true));
  addEventListener("dragleave", (event) => event.relatedTarget ?? mark(false));
  addEventListener("drop", (event) => {
    mark(false);
    if (accepts(event)) addTransfer(event.dataTransfer);
  });
  addEventListener("paste", (event) => addTransfer(event.clipboardData));
}
