/** The viewer: a dialog with one image, its details, and what can be done with it. */

import { leaveAddress, replaceAddress } from "./address.js";
import { fileUrl, getImage } from "./api.js";
import { deleteImage } from "./changes.js";
import { showDetails, startRenaming } from "./details.js";
import { loadStyle, openDialog, whenClosed } from "./dom.js";
import { focusImage } from "./grid.js";
import { findImage, hasMore, images, loadMoreNow, neighbourOf, removeImages } from "./images.js";
import { addKeys } from "./keys.js";
import "./later.js";
import { isPrivate } from "./links.js";
import { showLock } from "./lock.js";
import { announce, TRUNCATED } from "./messages.js";
import { showPicture, stopLoading } from "./picture.js";
import { startMenu } from "./share.js";
import { makeStage } from "./stage.js";
import { changeVisibility, labelOf, sentenceOfChange } from "./visibility.js";

const PAN_PIXELS = 120;
const ZOOM_FACTOR = 1.5;

/** @type {any} While it is open: its dialog, its stage and the image. */
let viewer = null;

/** How often the address has changed: only the last change counts. */
let changes = 0;

/** Whether details are wanted; at first where there is room beside the image. */
let isDetailed = matchMedia("(min-width: 60rem)").matches;

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
  if (!viewer?.dialog.open) viewer = open();
  const { dialog, stage } = viewer;
  Object.assign(viewer, { image, isListed: Boolean(findImage(image.id)) });
  dialog.querySelector(".truncated").textContent = image.truncated ? TRUNCATED : "";
  describe();
  showSteps();
  stage.show(image.width, image.height);
  showPicture(dialog, image, stage.show);
}

/** Show the image's name and details. */
function describe() {
  const { dialog, image } = viewer;
  const file = fileUrl(image);
  dialog.querySelector(".download").href = `${file}${file.includes("?") ? "&" : "?"}download=1`;
  const title = dialog.querySelector("h2");
  title.textContent = isPrivate(image) ? ` ${image.filename}` : image.filename;
  showLock(title, isPrivate(image));
  showVisibility(dialog.querySelector(".visibility"), image);
  dialog.querySelector(".about").ariaExpanded = String(isDetailed);
  dialog.querySelector(".details").hidden = !isDetailed;
  showDetails(dialog.querySelector(".details"), image);
}

/** Show who may see the image, and what would change that. */
function showVisibility(place, image) {
  const [state, button] = [place.querySelector("p"), place.querySelector("button")];
  const isHidden = isPrivate(image);
  state.querySelector("b").textContent = isHidden ? "Private" : "Public";
  state.querySelector("span").textContent = isHidden
    ? "Seen only in this gallery, or by a link that expires."
    : "Everybody who has the link sees it.";
  button.textContent = labelOf([image]);
}

/** Make the image private or public. */
async function toggleVisibility() {
  const { dialog, image } = viewer;
  const button = dialog.querySelector(".visibility button");
  if (button.ariaDisabled === "true") return;
  button.ariaDisabled = "true";
  const outcome = await changeVisibility([image]);
  button.ariaDisabled = "false";
  announce(sentenceOfChange(outcome));
  for (const changed of outcome.changed) if (viewer?.image.id === changed.id) update(changed);
}

function open() {
  const dialog = openDialog("viewer");
  const percent = dialog.querySelector(".scale");
  const showScale = (scale) => (percent.textContent = `${Math.round(scale * 100)} %`);
  const followSwipe = (wish) => (wish === "close" ? dialog.close() : step(wish));
  const stage = makeStage(dialog.querySelector(".frame"), followSwipe, showScale);
  const actions = {
    ".previous": () => step(-1),
    ".next": () => step(1),
    ".nearer": () => stage.zoomBy(ZOOM_FACTOR),
    ".farther": () => stage.zoomBy(1 / ZOOM_FACTOR),
    ".scale": stage.toggle,
    ".about": toggleDetails,
    ".danger": confirmDelete,
    ".visibility button": toggleVisibility,
  };
  for (const [part, act] of Object.entries(actions)) dialog.querySelector(part).onclick = () => act();
  startMenu(dialog.querySelector(".menu"), () => viewer.image);
  startRenaming(dialog.querySelector(".details"), () => viewer?.image, update);
  dialog.addEventListener("close", () => {
    if (viewer?.dialog !== dialog) return; // closed because the address changed
    close();
    leaveAddress();
  });
  return { dialog, stage, image: null };
}

function close() {
  if (!viewer) return;
  const { dialog, image } = viewer;
  dialog.close(); // a name that is being typed is stored
  viewer = null;
  stopLoading();
  focusImage(image);
}

/** Show the older image (1) or the newer one (-1); return whether there is one. */
async function step(direction) {
  const { image } = viewer;
  if (direction > 0 && !neighbourOf(image, 1)) await loadMoreNow();
  const next = neighbourOf(image, direction);
  if (!next || viewer?.image !== image) return false;
  replaceAddress(`#${next.id}`);
  showAddressed();
  return true;
}

function toggleDetails() {
  isDetailed = !isDetailed;
  describe();
}

/** Show what has changed of the image. */
function update(changed) {
  viewer.image = { ...viewer.image, ...changed };
  describe();
}

/** Show whether there is anything to step to. */
function showSteps() {
  const { dialog, image } = viewer;
  const mayFollow = hasMore() && findImage(image.id);
  const isLast = !neighbourOf(image, 1) && !mayFollow;
  dialog.querySelector(".previous").ariaDisabled = String(!neighbourOf(image, -1));
  dialog.querySelector(".next").ariaDisabled = String(isLast);
}

function follow() {
  if (!viewer) return;
  showSteps();
  const { image, isListed } = viewer;
  const known = findImage(image.id);
  viewer.isListed = Boolean(known);
  if (isListed && !known) announceLoss(image);
  if (known && (known.filename !== image.filename || known.url !== image.url)) update(known);
}

/** Say that somebody else has deleted an image that is open, unless a search has left it out. */
async function announceLoss(image) {
  const answer = await getImage(image.id, false).catch((error) => error);
  if (answer.status === 404 && viewer?.image.id === image.id) announce(answer.message);
}

async function confirmDelete() {
  const { image } = viewer;
  const confirmation = openDialog("confirmation");
  confirmation.querySelector(".name").textContent = image.filename;
  if (!(await whenClosed(confirmation))) return;
  const error = await deleteImage(image).catch((error) => error);
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

/** Move what is seen by a key, if there is more to see that way. */
const pan = (x, y) => viewer.stage.pan(x * PAN_PIXELS, y * PAN_PIXELS);

const addKey = (keys, label, action) => addKeys({ place: "viewer", keys, label, action });

await loadStyle("viewer.css");
addKey(["ArrowLeft"], "Newer picture", () => pan(1, 0) || step(-1));
addKey(["ArrowRight"], "Older picture", () => pan(-1, 0) || step(1));
addKey(["ArrowUp", "ArrowDown"], "Move, when zoomed in", (key) => pan(0, key === "ArrowUp" ? 1 : -1));
addKey(["+", "="], "Zoom in", () => viewer.stage.zoomBy(ZOOM_FACTOR));
addKey(["-"], "Zoom out", () => viewer.stage.zoomBy(1 / ZOOM_FACTOR));
addKey(["0"], "Show the whole picture", () => viewer.stage.zoomTo(0));
addKey(["1"], "Zoom to 100 %", () => viewer.stage.zoomTo(1));
addKey(["i"], "Show or hide details", toggleDetails);
addKey(["Delete"], "Delete the picture", confirmDelete);
images.addEventListener("change", follow);
