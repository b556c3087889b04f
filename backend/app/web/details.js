/** The viewer's details: what is known of an image, and its name, which can be changed there. */

import { getImage } from "./api.js";
import { changeImage } from "./changes.js";
import { factsOf, recordedFacts } from "./facts.js";
import { updateImage } from "./images.js";
import { isPrivate } from "./links.js";
import { announce } from "./messages.js";

/** Show what is known of an image, and what a camera recorded once the service has said it. */
export async function showDetails(panel, image) {
  const [field, list] = [panel.querySelector("textarea"), panel.querySelector("dl")];
  const state = panel.dataset;
  const isOther = state.id !== image.id;
  if (isOther || field !== document.activeElement) field.value = image.filename;
  if (isOther) noteError(panel, "");
  if (isOther || state.isPrivate !== String(isPrivate(image))) {
    Object.assign(state, { id: image.id, isPrivate: isPrivate(image), recorded: "" });
    const link = document.createElement("a");
    Object.assign(link, { href: image.url, textContent: image.url });
    const facts = { ...factsOf(image), Address: !isPrivate(image) && link, Checksum: image.checksum };
    list.replaceChildren(...rowsOf(facts));
  }
  if (panel.hidden || state.recorded) return;
  const { metadata } = image.metadata ? image : await getImage(image.id, false).catch(() => image);
  if (!metadata || state.id !== image.id || state.recorded) return;
  state.recorded = "true";
  list.append(...rowsOf(recordedFacts(metadata)));
}

function rowsOf(facts) {
  const known = Object.entries(facts).filter(([, fact]) => fact);
  return known.map(([name, fact]) => {
    const [row, dt, dd] = ["div", "dt", "dd"].map((tag) => document.createElement(tag));
    dt.append(name);
    dd.append(fact);
    row.append(dt, dd);
    return row;
  });
}

function noteError(panel, sentence) {
  panel.querySelector(".error").textContent = sentence;
  panel.querySelector("textarea").ariaInvalid = String(sentence !== "");
}

/** Let the image that a function returns be renamed: by Enter, or by leaving the field. */
export function startRenaming(panel, imageOf, onRenamed) {
  const field = panel.querySelector("textarea");
  let sent = ""; // until that is answered
  async function rename() {
    const { id, filename } = imageOf();
    const { value } = field;
    if (value === filename) return noteError(panel, "");
    if (value === sent) return; // by Enter, and now the field is left
    sent = value;
    const answer = await changeImage(id, { filename: value }).catch((error) => error);
    sent = "";
    const isFailed = answer instanceof Error;
    const isShown = imageOf()?.id === id;
    if (!isFailed) updateImage(answer);
    if (!isFailed || !isShown) announce(isFailed ? answer.message : "Name changed");
    if (!isShown) return;
    noteError(panel, isFailed ? answer.message : "");
    if (isFailed) return;
    onRenamed(answer);
    if (field.value === value) field.value = answer.filename;
  }
  field.addEventListener("change", rename);
  field.addEventListener("keydown", (event) => {
    if (event.isComposing) return; // Enter and Escape end that alone
    if (event.key === "Enter") rename();
    else if (event.key === "Escape" && field.value !== imageOf().filename) {
      field.value = imageOf().filename;
      noteError(panel, "");
    } else return;
    event.preventDefault(); // no line is added, and the viewer stays open
  });
}
