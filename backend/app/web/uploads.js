/** The uploads of the page: how they begin, and their list. */

import { loadStyle } from "./dom.js";
import "./later.js";
import { loadLimits } from "./limits.js";
import { startPanel } from "./panel.js";
import { isRunning } from "./queue.js";

export { addRoots, chooseFiles } from "./intake.js";

await Promise.all([loadStyle("uploads.css"), loadLimits()]);
startPanel();
addEventListener("beforeunload", (event) => isRunning() && event.preventDefault());
