/** Moving the focus among the tiles by keys. */

import { imageBeside } from "./beside.js";
import { currentPlace, focusImage } from "./grid.js";
import { allImages, hasMore, loadMore, neighbourOf } from "./images.js";

/** Focus the image to which a key leads; load more where it leads beyond the last one. */
export async function moveFocus(key) {
  const isForward = ["ArrowRight", "ArrowDown", "End"].includes(key);
  const isShown = () => currentPlace().layout.rowOf.has(find(key)?.id ?? "");
  if (isForward && !isShown() && hasMore()) await loadMore();
  if (isShown()) focusImage(find(key));
}

function find(key) {
  const { image, layout } = currentPlace();
  if (!image) return undefined;
  if (key === "Home") return allImages()[0];
  if (key === "End") return allImages().at(-1);
  if (key === "ArrowUp" || key === "ArrowDown") {
    return imageBeside(layout, image, key === "ArrowUp" ? -1 : 1);
  }
  return neighbourOf(image, key === "ArrowLeft" ? -1 : 1);
}
