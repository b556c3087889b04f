/** The viewer's details: what is known of an image, and its name, which can be changed there. */

import { getImage, renameImage } from "./api.js";
import { factsOf, recordedFacts } from "./facts.js";
import { updateImage } from "./images.js";
import { announce } from "./messages.js";

/** Show what is known of an image, and what a camera recorded once the service has said it. */
export async function showDetails(panel, image) {
  const isSame = panel.dataset.id === image.id;
  panel.dataset.id = image.id;
  panel.querySelector(".name").textContent = image.filename;
  if (!isSame) {
    endRenaming(panel);
    const address = Object.assign(document.createElement("a"), { href: image.url });
    address.textContent = image.url;
    const facts = { ...factsOf(image), Address: address, Checksum: image.checksum };
    panel.querySelector("dl").replaceChildren(...rowsOf(facts));
  }
  if (panel.hidden || panel.dataset.recorded === image.id) return;
  const { metadata } = image.metadata ? image : await getImage(image.id).catch(() => image);
  if (!metadata || panel.dataset.id !== image.id || panel.dataset.recorded === image.id) return;
  panel.dataset.recorded = image.id;
  panel.querySelector("dl").append(...rowsOf(recordedFacts(metadata)));
}

const rowsOf = (facts) =>
  Object.entries(facts).flatMap(([name, fact]) => {
    if (!fact) return [];
    const [row, dt, dd] = ["div", "dt", "dd"].map((tag) => document.createElement(tag));
    dt.append(name);
    dd.append(fact);
    row.append(dt, dd);
    return [row];
  });

/** Let the image that a function returns be renamed. */
export function startRenaming(panel, imageOf, onRenamed) {
  const [button, form] = [panel.querySelector(".rename"), panel.querySelector("form")];
  const [input, error] = [form.querySelector("input"), form.querySelector(".error")];
  const leave = () => {
    endRenaming(panel);
    button.focus();
  };
  button.addEventListener("click", () => {
    const { filename } = imageOf();
    panel.classList.add("renaming");
    input.value = filename;
    input.focus();
    input.setSelectionRange(0, filename.lastIndexOf(".") + 1 && filename.lastIndexOf("."));
  });
  form.querySelector(".cancel").addEventListener("click", leave);
  form.addEventListener("keydown", (event) => {
    if (event.key !== "Escape") return;
    event.preventDefault(); // else the viewer closes
    leave();
  });
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const { id } = imageOf();
    const answer = await renameImage(id, input.value).catch((error) => error);
    const isShown = imageOf()?.id === id;
    if (answer instanceof Error) {
      if (!isShown) return announce(answer.message);
      error.textContent = answer.message;
      input.setAttribute("aria-invalid", "true");
      return input.focus();
    }
    updateImage(answer);
    announce("Name changed");
    if (!isShown) return;
    onRenamed(answer);
    leave();
  });
}

function endRenaming(panel) {
  panel.classList.remove("renaming");
  panel.querySelector(".error").textContent = "";
  panel.querySelector("input").removeAttribute("aria-invalid");
}
