/** Messages that disappear after some seconds; screen readers speak them too. */

import { element } from "./dom.js";

/** How long a message is shown: at least some seconds, and as long as it takes to read. */
const SHOWN_MS = 6000;
const MS_A_CHARACTER = 80;

/** What is said of an image that is stored as it came, cut short. */
export const TRUNCATED = "Part of the picture is missing: check the file, and send it again.";

/** What the service takes, in words. */
export const TYPES = "JPEG, PNG, GIF, WebP, AVIF or HEIC";

const viewerRegion = () => document.querySelector("dialog[open] [role=status]");

/** Show a message, in the viewer while it is open. */
export function announce(sentence) {
  const region = viewerRegion() ?? element("status");
  region.textContent = sentence;
  setTimeout(() => {
    if (region.textContent === sentence) region.textContent = "";
  }, Math.max(SHOWN_MS, sentence.length * MS_A_CHARACTER));
}

/** Show a message only while the viewer hides what says the same. */
export const announceInViewer = (sentence) => viewerRegion() && announce(sentence);
