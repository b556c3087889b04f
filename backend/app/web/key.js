/** The dialog that asks for the API key, which is forgotten with the tab. */

import { openDialog, whenClosed } from "./dom.js";
import { ApiError } from "./errors.js";
import "./later.js";

/** Ask for the key, and keep it in the tab's storage. */
export async function askForKey(tab) {
  const isWrong = Boolean(tab.apiKey);
  tab.apiKey = "";
  const dialog = openDialog("key");
  const input = dialog.querySelector("input");
  if (isWrong) {
    dialog.querySelector(".error").textContent =
      "That key is wrong. Check it, or ask whoever runs the service.";
    input.setAttribute("aria-invalid", "true");
  }
  if (!(await whenClosed(dialog))) {
    throw new ApiError("The service needs a key for this. Try again and enter the API key.", 401);
  }
  tab.apiKey = input.value;
}
