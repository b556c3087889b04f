/** The uploads of the page: how they begin, and their list. */

import { element, loadStyle } from "./dom.js";
import { acceptTransfers } from "./intake.js";
import { clearRows, isRunning } from "./queue.js";

export { chooseFiles } from "./intake.js";

await loadStyle("uploads.css");
element("close-uploads").addEventListener("click", () => {
  clearRows(".over");
  element("add").focus();
});
addEventListener("beforeunload", (event) => isRunning() && event.preventDefault());
acceptTransfers();
