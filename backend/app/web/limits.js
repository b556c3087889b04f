/** What the service accepts, and what is done there without a key. */

import { TYPES } from "./search.js";

/**
 * Until the service has said so, it alone refuses what is too large.
 * @type {any} As ApiLimits.
 */
export let limits = {
  max_upload_bytes: Infinity,
  accepted_types: TYPES,
};

/** Load the limits, if the service answers: everybody may, also while the key is asked for. */
export async function loadLimits() {
  const answer = await fetch("api/v1/limits").catch(() => null);
  if (answer?.ok) limits = await answer.json().catch(() => limits);
}
