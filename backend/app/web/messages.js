/** Messages that disappear after some seconds; screen readers speak them too. */

import { element } from "./dom.js";

const SHOWN_SECONDS = 6;

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
  }, SHOWN_SECONDS * 1000);
}

/** Show a message only while the viewer hides what says the same. */
export const announceInViewer = (sentence) => viewerRegion() && announce(sentence);
