/** The start of the page: a client of the public API (see /docs) and of nothing else. */

import { followAddress } from "./address.js";
import { loadLimits } from "./api.js";
import { element } from "./dom.js";
import { gallery, loadMore } from "./gallery.js";
import { acceptTransfers, chooseFiles } from "./intake.js";
import { clearRows, isRunning } from "./queue.js";
import { showAddressed, showSteps, stepByKey } from "./viewer.js";

element("add").addEventListener("click", chooseFiles);
element("close-uploads").addEventListener("click", () => {
  clearRows(".over");
  element("add").focus();
});
acceptTransfers();
addEventListener("beforeunload", (event) => isRunning() && event.preventDefault());
addEventListener("keydown", stepByKey);
gallery.addEventListener("change", showSteps);
loadMore();
followAddress(showAddressed);
loadLimits();
