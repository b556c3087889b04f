/** The page that `delete_url` opens: it asks, and deletes the image by the token of its upload. */

import { fileUrl, thumbnailUrl } from "./api.js";
import { deleteImage } from "./changes.js";
import { element } from "./dom.js";
import { limits, loadLimits } from "./limits.js";

/** What the address has after its `#`, which no server is sent: the image's id and its token. */
const ADDRESSED = /^#([0-9a-f-]{36})\.([\w-]+)$/i;

const PIXELS = 300;
const heading = document.querySelector("h1");
const sentence = element("sentence");
const [keep, button] = [document.querySelector(".actions a"), document.querySelector("button")];

/** Ask whether to delete the image that the address names. */
function ask() {
  const [, id, token] = ADDRESSED.exec(location.hash) ?? [];
  if (!id) return finish("Nothing to delete", "This link is not complete. Copy all of it.");
  button.disabled = false;
  button.onclick = () => remove({ id, delete_token: token });
  showPicture(id);
}

/** Show the image, if everybody may see it. */
async function showPicture(id) {
  await loadLimits();
  const sizes = (limits.thumbnail_sizes ?? []).map((size) => [size, {}]);
  const addresses = [thumbnailUrl({ id, thumbnails: Object.fromEntries(sizes) }, PIXELS), fileUrl({ id })];
  for (const address of addresses.filter(Boolean)) {
    const img = Object.assign(new Image(), { src: address, alt: "The picture" });
    if (!(await img.decode().then(() => true, () => false))) continue;
    return element("picture").replaceChildren(img);
  }
  const note = "It cannot be shown here: it is private, or no longer there.";
  element("picture").replaceChildren(Object.assign(document.createElement("p"), { textContent: note, className: "quiet" }));
}

async function remove(image) {
  button.disabled = true;
  button.textContent = "Deleting…";
  const error = await deleteImage(image).catch((error) => error);
  button.textContent = "Delete it";
  if (!error) return finish("Picture deleted", "It is gone for good, and its link has stopped working.");
  if (error.status === 404) return finish("Nothing to delete", error.message);
  sentence.textContent = error.message;
  button.disabled = false;
}

/** Say what has happened, and forget the token. */
function finish(title, text) {
  heading.textContent = title;
  sentence.textContent = text;
  element("picture").replaceChildren();
  button.hidden = true;
  keep.textContent = "To the gallery";
  history.replaceState(null, "", location.pathname);
}

addEventListener("hashchange", () => location.reload());
ask();
