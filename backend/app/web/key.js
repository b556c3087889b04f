/** The dialog that asks for the API key, which is forgotten with the tab. */

import { limits, loadLimits } from "./api.js";
import { openDialog, whenClosed } from "./dom.js";
import { ApiError } from "./errors.js";
import "./later.js";

/** Whether it has been said that nothing but uploading works without a key. */
let isSaid = false;

/** Ask for the key, and keep it in the tab's storage; not at once where one can upload without. */
export async function askForKey(tab) {
  const isWrong = Boolean(tab.apiKey);
  if (!isSaid && !isWrong) {
    await loadLimits();
    isSaid = true;
    if (limits.access === "upload") {
      throw new ApiError("You can upload without a key. To see the pictures here, try again and enter one.", 401);
    }
  }
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
