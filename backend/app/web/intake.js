/** How files come in: chosen in a dialog, dropped anywhere on the page, or pasted. */

import { addToChooser, openChooser } from "./chooser.js";
import { readRoots } from "./dropped.js";
import { limits } from "./limits.js";
import { announce, TYPES } from "./messages.js";
import { enqueue } from "./queue.js";
import { Upload } from "./upload.js";

/** What becomes of files: what the person chose last, also for a drop and a paste. */
const choice = { isStripped: true, isPrivate: false };

/** Let the person choose files, and upload them. */
export async function chooseFiles() {
  const files = await openChooser(choice, () => {
    document.documentElement.classList.toggle("keeping", !choice.isStripped);
    document.documentElement.classList.toggle("hiding", choice.isPrivate);
  });
  addFiles(files);
}

function addFiles(files) {
  if (files.length) enqueue(files.map((file) => new Upload(file, choice)));
}

/** Add what is dropped or pasted, to what is being chosen if that is so; of folders, the images. */
export async function addRoots(roots) {
  const { files, hasFolder, skipped } = await readRoots(roots, limits.accepted_types);
  if (!addToChooser(files)) addFiles(files);
  const count = skipped === 1 ? "1 file" : `${skipped} files`;
  if (skipped) announce(`Skipped ${count}: hidden, unreadable, or not ${TYPES}.`);
  else if (hasFolder && files.length === 0) announce("The folder has no files.");
}
