/** What is done with a selection: its bar, its keys, links copied and images deleted at once. */

import { deleteImages } from "./changes.js";
import { copyTemplate, openDialog, whenClosed } from "./dom.js";
import { deleteAll, sentenceOfDeletion } from "./deletion.js";
import { currentPlace, focusImage } from "./grid.js";
import { allImages, findImage, hasMore, images, neighbourOf, removeImages } from "./images.js";
import { addKeys } from "./keys.js";
import "./later.js";
import { announce } from "./messages.js";
import { moveFocus } from "./moving.js";
import { clear, extendTo, hasSelection, select, selected, selectedImages, toggle } from "./selection.js";
import { startMenu } from "./share.js";
import { changeVisibility, labelOf, sentenceOfChange } from "./visibility.js";

const bar = copyTemplate("selection");
const state = bar.querySelector("p");
const [clearing, ...controls] = [...bar.children].filter((child) => child !== state);
const selectAll = bar.querySelector(".all");
const visibility = bar.querySelector(".visibility");

/** Show how many images are selected, and what can be done with them. */
function show() {
  const count = selectedImages().length;
  if (!bar.matches(".busy")) state.textContent = count ? `${count.toLocaleString()} selected` : "";
  const isFocused = bar.contains(document.activeElement);
  if (count) {
    state.before(clearing);
    state.after(...controls);
  } else for (const control of [clearing, ...controls]) control.remove();
  if (isFocused && !count) focusImage(currentPlace().image);
  const all = allImages().length;
  const loaded = `${all.toLocaleString()}${hasMore() ? " loaded" : ""}`;
  selectAll.querySelector("span").textContent = `Select all ${loaded}`;
  visibility.querySelector("span").textContent = labelOf(selectedImages());
}

/** Show in the bar how far an action with some images is, which it waits for. */
async function showing(doing, images, act) {
  const report = (done) => {
    state.textContent = `${doing} ${done.toLocaleString()} of ${images.length.toLocaleString()}…`;
  };
  bar.classList.add("busy");
  report(0);
  const outcome = await act(report);
  bar.classList.remove("busy");
  show();
  return outcome;
}

async function toggleVisibility() {
  const chosen = selectedImages();
  const act = (report) => changeVisibility(chosen, report);
  announce(sentenceOfChange(await showing("Changing", chosen, act)));
}

/** Ask whether to delete images, and delete them. */
async function confirmDeletion(chosen) {
  const dialog = openDialog("confirmation");
  if (chosen.length === 1) dialog.querySelector(".name").textContent = chosen[0].filename;
  else {
    dialog.querySelector("h2").textContent = `Delete ${chosen.length.toLocaleString()} pictures?`;
    dialog.querySelector("p").textContent =
      "They will be removed for good, and their links will stop working.";
  }
  if (!(await whenClosed(dialog))) return;
  const next = neighbourOf(chosen.at(-1), 1) ?? neighbourOf(chosen[0], -1);
  const ids = chosen.map(({ id }) => id);
  const outcome = await showing("Deleting", chosen, (report) =>
    deleteAll(ids, deleteImages, (gone, done) => {
      removeImages(gone);
      report(done);
    }),
  );
  announce(sentenceOfDeletion(outcome));
  focusImage(findImage(next?.id) ?? allImages()[0]);
}

const currentId = () => currentPlace().image?.id;

/** Move the focus as a key says, and select every image on the way. */
async function extend(key) {
  const from = currentId();
  await moveFocus(key.replace("Shift+", ""));
  extendTo(currentId(), from);
}

clearing.addEventListener("click", clear);
selectAll.addEventListener("click", () => select(allImages().map(({ id }) => id)));
bar.querySelector(".danger").addEventListener("click", () => confirmDeletion(selectedImages()));
visibility.addEventListener("click", toggleVisibility);
startMenu(bar.querySelector(".menu"), selectedImages);
document.querySelector(".bar").append(bar);
selected.addEventListener("change", show);
images.addEventListener("change", show);
show();

const arrows = ["ArrowLeft", "ArrowRight", "ArrowUp", "ArrowDown"];
addKeys(
  { place: "tile", keys: [...arrows, "Home", "End"], label: "Go to another picture", action: moveFocus },
  { place: "tile", keys: ["Enter"], label: "Open the picture" },
  { place: "tile", keys: ["x", " "], label: "Select it, or no longer", action: () => toggle(currentId()) },
  { place: "tile", keys: arrows.map((key) => `Shift+${key}`), label: "Select several", action: extend },
  {
    place: "tile",
    keys: ["Delete"],
    label: "Delete it, or all that are selected",
    action: () => void confirmDeletion(hasSelection() ? selectedImages() : [currentPlace().image]),
  },
  {
    place: "page",
    keys: ["Escape"],
    label: "Select nothing",
    action: () => hasSelection() && clear(),
  },
);
