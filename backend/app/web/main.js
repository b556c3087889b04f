/** The start of the page: a client of the public API (see /docs) and of nothing else. */

import { addressedSearch, followAddress } from "./address.js";
import { element } from "./dom.js";
import { startGrid } from "./grid.js";
import { setSearch } from "./images.js";
import { announce } from "./messages.js";
import { acceptTransfers } from "./transfers.js";

/** Say that a part is not there; most browsers do not load it again before the page is. */
function announceLoss() {
  announce("Part of this page could not be loaded. Once there is a connection, reload the page.");
  return null;
}

/* What the first screen does without is imported when it is there, or asked for. */
const importUploads = () => import("./uploads.js").catch(announceLoss);
const importViewer = () => import("./viewer.js").catch(announceLoss);

for (const id of ["add", "begin"]) {
  element(id).addEventListener("click", async () => (await importUploads())?.chooseFiles());
}
acceptTransfers(async (roots) => (await importUploads())?.addRoots(roots));
followAddress(async () => {
  if (location.hash || document.querySelector(".viewer")) (await importViewer())?.showAddressed();
});
startGrid();
await setSearch(addressedSearch());
await Promise.all([
  import("./scroll.js").then(({ keepScroll }) => keepScroll()),
  import("./live.js").then(({ startLive }) => startLive()),
  import("./selecting.js"),
  import("./find.js"),
  import("./actions.js"),
  import("./lock.js"),
  importUploads(),
  importViewer(),
  import("./words.js"), // as long as there is a connection
  import("./key.js"),
]).catch(announceLoss);
