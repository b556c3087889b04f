/** Making images private or public. */

import { changeImage } from "./changes.js";
import { updateImage } from "./images.js";
import { isPrivate } from "./links.js";

/** Requests at once: each waits until no cache has what was public. */
const MAX_RUNNING = 4;

const count = (number) => (number === 1 ? "1 picture" : `${number.toLocaleString()} pictures`);

/** Return whether images would be made public: all of them are private. */
export const wouldPublish = (images) => images.every(isPrivate);

/** Return what a button says that changes who may see images. */
export const labelOf = (images) => (wouldPublish(images) ? "Make public" : "Make private");

/** Make images private, or public if all are private; call a function when some more are done. */
export async function changeVisibility(images, onDone = (done) => {}) {
  const is_public = wouldPublish(images);
  const pending = images.filter((image) => isPrivate(image) === is_public);
  /** @type {{is_public: boolean, changed: ApiImage[], failed: number, error: any}} */
  const outcome = { is_public, changed: [], failed: 0, error: null };
  const run = async () => {
    for (let image = pending.shift(); image; image = pending.shift()) {
      try {
        const changed = await changeImage(image.id, { is_public });
        updateImage(changed);
        outcome.changed.push(changed);
      } catch (/** @type {any} */ error) {
        outcome.error = error;
        const isForbidden = error.status === 401 || error.status === 403;
        outcome.failed += 1 + (isForbidden ? pending.splice(0).length : 0);
      }
      onDone(outcome.changed.length + outcome.failed);
    }
  };
  await Promise.all(Array.from({ length: MAX_RUNNING }, run));
  return outcome;
}

/** Return what came of a change, in words. */
export function sentenceOfChange({ is_public, changed: { length }, failed, error }) {
  const it = length === 1 ? "it" : "them";
  const state = is_public
    ? `public: everybody who has the link sees ${it}`
    : `private: links to ${it} have ended`;
  const done = length ? `${count(length)} made ${state}.` : "";
  return failed ? `${done} ${count(failed)} could not be changed. ${error.message}`.trim() : done;
}
