/** How files come in: chosen in a dialog, dropped anywhere on the page, or pasted. */

import { limits } from "./api.js";
import { openDialog, whenClosed } from "./dom.js";
import { readTransfer } from "./dropped.js";
import { formatBytes } from "./format.js";
import { announce, announceInViewer } from "./messages.js";
import { clearRows, enqueue } from "./queue.js";
import { Upload } from "./upload.js";

/** Let the person choose files, and upload them. */
export async function chooseFiles() {
  const dialog = openDialog("chooser");
  const most = limits.max_upload_bytes;
  const size = Number.isFinite(most) ? `, up to ${formatBytes(most)} each` : "";
  dialog.querySelector(".quiet").textContent =
    `JPEG or PNG${size}. You can also drop files and folders anywhere on the page, or paste them.`;
  if (await whenClosed(dialog)) addFiles(dialog.querySelector("input").files);
}

function addFiles(files) {
  if (files.length === 0) return;
  document.querySelector(".chooser")?.close();
  announceInViewer("Uploading");
  clearRows(".succeeded, .cancelled, .refused");
  enqueue([...files].map((file) => new Upload(file)));
}

/** Add what is dropped or pasted; of what folders hold, the images. */
async function addTransfer(transfer) {
  const { files, hasFolder, skipped } = await readTransfer(transfer, limits.accepted_types);
  addFiles(files);
  const count = skipped === 1 ? "1 file" : `${skipped} files`;
  if (skipped) announce(`Skipped ${count}: hidden, unreadable, or neither JPEG nor PNG.`);
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
