/** The uploads of the page: how they begin, and their list. */

import { loadStyle } from "./dom.js";
import "./later.js";
import { startPanel } from "./panel.js";
import { isRunning } from "./queue.js";

export { addRoots, chooseFiles } from "./intake.js";

await loadStyle("uploads.css");
startPanel();
addEventListener("beforeunload", (event) => isRunning() && event.preventDefault());
