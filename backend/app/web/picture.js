/** What the viewer loads: an image's thumbnail, its file, then its neighbours' thumbnails. */

import { fileUrl, thumbnailUrl } from "./api.js";
import { formatType } from "./format.js";
import { load, showImage } from "./image.js";
import { neighbourOf } from "./images.js";

/** @type {HTMLImageElement[]} */
let loading = [];

function stop(imgs) {
  for (const img of imgs) {
    img.onerror = null;
    img.removeAttribute("src");
  }
}

export const stopLoading = () => stop(loading.splice(0));

/** Else the thumbnail takes longer than the file. */
const isRendered = (image) => image.placeholder && thumbnailUrl(image);

/** Show an image's file; until it comes, or if the browser cannot show it, the thumbnail. */
export async function showPicture(dialog, image, onSize) {
  const [place, note] = [dialog.querySelector(".image"), dialog.querySelector(".unshown")];
  const [file, thumbnail] = [fileUrl(image), thumbnailUrl(image)];
  const isEarly = isRendered(image);
  const previous = loading;
  const showing = showImage(place, image, isEarly ? [thumbnail, file] : [file, thumbnail]);
  const own = (loading = [place.querySelector("img")]);
  stop(previous); // now, so that what both want is loaded once
  note.textContent = "";
  place.classList.remove("board");
  let shown = await showing;
  if (loading !== own) return;
  place.classList.toggle("board", Boolean(shown));
  loadNeighbours(image);
  if (isEarly && shown === thumbnail) {
    const img = Object.assign(new Image(), { alt: image.filename });
    own.push(img);
    const isLoaded = await load(img, file, true, place);
    if (loading !== own) return;
    if (isLoaded) place.replaceChildren(img);
    if (isLoaded) shown = file;
  }
  const { naturalWidth, naturalHeight } = place.querySelector("img");
  if (!image.width) onSize(naturalWidth, naturalHeight);
  if (shown === file) return;
  const sentence = `Your browser cannot show this ${formatType(image.content_type)} file.`;
  const instead = shown ? "Here is a smaller version; Download" : "Download";
  note.textContent = `${sentence} ${instead} saves the original.`;
}

/** Load what the next step will show first. */
function loadNeighbours(image) {
  if (/** @type {any} */ (navigator).connection?.saveData) return;
  for (const neighbour of [neighbourOf(image, 1), neighbourOf(image, -1)]) {
    const src = neighbour && (thumbnailUrl(neighbour) ? isRendered(neighbour) : fileUrl(neighbour));
    if (src) loading.push(Object.assign(new Image(), { fetchPriority: "low", src }));
  }
}
