/** The viewer: a dialog with one image, its details, and what can be done with it. */

import { leaveAddress, replaceAddress } from "./address.js";
import { deleteImage, fileUrl, getImage, thumbnailUrl } from "./api.js";
import { copy } from "./clipboard.js";
import { loadStyle, openDialog, whenClosed } from "./dom.js";
import { asHtml, asMarkdown, formatBytes, formatTime, formatType } from "./format.js";
import { focusImage } from "./grid.js";
import { showFile, showImage } from "./image.js";
import { findImage, hasMore, images, loadMoreNow, neighbourOf, removeImages } from "./images.js";
import { announce, TRUNCATED } from "./messages.js";

/** @type {?{dialog: HTMLDialogElement, image: ApiImage}} While it is open. */
let viewer = null;

const shown = () => /** @type {ApiImage} */ (viewer?.image);

/** How often the address has changed: only the last change counts. */
let changes = 0;

/** Show the image that the address names, or the gallery alone. */
export async function showAddressed() {
  const change = (changes += 1);
  const id = location.hash.slice(1);
  document.querySelector(".box:has(.danger)")?.close();
  if (!id) return close();
  const found = findImage(id) ?? (await getImage(id).catch((error) => error));
  if (change !== changes) return;
  if (!(found instanceof Error)) return show(found);
  const notice = openDialog("notice");
  notice.querySelector(".sentence").textContent = found.message;
  await whenClosed(notice);
  leaveAddress();
}

function show(image) {
  const dialog = viewer?.dialog.open ? viewer.dialog : open();
  viewer = { dialog, image };
  const field = (selector) => dialog.querySelector(selector);
  showLargest(dialog, image);
  field("h2").textContent = image.filename;
  field(".size").textContent = formatBytes(image.file_size);
  field(".type").textContent = formatType(image.content_type);
  field("time").dateTime = image.created_at;
  field("time").textContent = formatTime(image.created_at);
  field(".truncated").textContent = image.truncated ? TRUNCATED : "";
  field(".dimensions").hidden = !(image.width && image.height);
  field(".dimensions dd").textContent = `${image.width} × ${image.height} pixels`;
  field(".download").href = `${fileUrl(image)}?download=1`;
  showSteps();
}

/** Show an image's file; until it has come, or if the browser cannot show it, the thumbnail. */
async function showLargest(dialog, image) {
  const change = changes;
  const place = dialog.querySelector(".image");
  const note = dialog.querySelector(".unshown");
  const [file, thumbnail] = [fileUrl(image), thumbnailUrl(image)];
  const isRendered = image.placeholder && thumbnail; // else the thumbnail takes longer
  note.textContent = "";
  let shown = await showImage(place, image, isRendered ? [thumbnail, file] : [file, thumbnail]);
  if (change !== changes) return;
  if (isRendered && shown === thumbnail && (await showFile(place, image))) shown = file;
  if (shown === file || change !== changes) return;
  const sentence = `Your browser cannot show this ${formatType(image.content_type)} file.`;
  const instead = shown ? "Here is a smaller version; Download" : "Download";
  note.textContent = `${sentence} ${instead} saves the original.`;
}

function open() {
  const dialog = openDialog("viewer");
  const onClick = (selector, action) =>
    dialog.querySelector(selector).addEventListener("click", action);
  onClick(".previous", () => step(-1));
  onClick(".next", () => step(1));
  onClick(".copy-link", () => copy("Link", shown().url));
  onClick(".copy-markdown", () => copy("Markdown", asMarkdown(shown())));
  onClick(".copy-html", () => copy("HTML", asHtml(shown())));
  onClick(".danger", () => confirmDelete(shown()));
  dialog.addEventListener("close", () => {
    if (viewer?.dialog !== dialog) return; // closed because the address changed
    close();
    leaveAddress();
  });
  return dialog;
}

function close() {
  if (!viewer) return;
  const { dialog, image } = viewer;
  viewer = null;
  dialog.close();
  focusImage(image);
}

async function step(direction) {
  if (!viewer) return;
  const { image } = viewer;
  if (direction > 0 && !neighbourOf(image, 1)) await loadMoreNow();
  const next = neighbourOf(image, direction);
  if (!next || viewer?.image !== image) return;
  replaceAddress(`#${next.id}`);
  showAddressed();
}

/** Step to the next or the previous image at an arrow key. */
function stepByKey(event) {
  if (!viewer || document.querySelector(".box[open]")) return;
  if (event.altKey || event.ctrlKey || event.metaKey || event.shiftKey) return; // the browser's own
  if (event.key === "ArrowLeft") step(-1);
  if (event.key === "ArrowRight") step(1);
}

/** Show whether there is anything to step to. */
function showSteps() {
  if (!viewer) return;
  const { dialog, image } = viewer;
  const mayFollow = hasMore() && findImage(image.id);
  const isLast = !neighbourOf(image, 1) && !mayFollow;
  dialog.querySelector(".previous").ariaDisabled = String(!neighbourOf(image, -1));
  dialog.querySelector(".next").ariaDisabled = String(isLast);
}

async function confirmDelete(image) {
  const confirmation = openDialog("confirmation");
  confirmation.querySelector(".name").textContent = image.filename;
  if (!(await whenClosed(confirmation))) return;
  const error = await deleteImage(image.id).catch((error) => error);
  if (error && error.status !== 404) return announce(error.message);
  const neighbour = neighbourOf(image, 1) ?? neighbourOf(image, -1);
  removeImages([image.id]);
  if (viewer?.image.id === image.id) {
    close();
    leaveAddress();
  }
  if (!viewer) focusImage(neighbour);
  announce("Picture removed");
}

await loadStyle("viewer.css");
addEventListener("keydown", stepByKey);
images.addEventListener("change", showSteps);
