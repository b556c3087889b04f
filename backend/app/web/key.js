/** The API key: asked for when the service refuses a request, and forgotten with the tab. */

import { openDialog, whenClosed } from "./dom.js";
import { ApiError } from "./errors.js";

/** The browser's storage of the tab; where it has none, the key is forgotten with the page. */
let tab = {};
try {
  tab = sessionStorage;
} catch {}

/** @type {?Promise<void>} The open question for the key, so that it is asked once. */
let question = null;

/** Run a request with the key's headers; once more with another key if this one is refused. */
export async function withKey(request) {
  await question;
  const used = tab.apiKey;
  try {
    return await request(used ? { Authorization: `Bearer ${used}` } : {});
  } catch (error) {
    if (!(error instanceof ApiError && error.asksForKey)) throw error;
    const isCurrent = !tab.apiKey || tab.apiKey === used;
    if (isCurrent) question ??= ask(Boolean(used)).finally(() => (question = null));
    return withKey(request);
  }
}

async function ask(isWrong) {
  tab.apiKey = "";
  const dialog = openDialog("key");
  const input = dialog.querySelector("input");
  if (isWrong) {
    dialog.querySelector(".error").textContent = "That key is wrong.";
    input.setAttribute("aria-invalid", "true");
  }
  if (!(await whenClosed(dialog))) throw new ApiError("Try again and enter the API key.", 401);
  tab.apiKey = input.value;
}
