/** The API key, which is forgotten with the tab: where the service needs one, and where somebody has one. */

import { tab } from "./api.js";
import { element, openDialog, whenClosed } from "./dom.js";
import { ApiError } from "./errors.js";
import { currentSearch, setSearch } from "./images.js";
import "./later.js";
import { limits, loadLimits } from "./limits.js";

const button = element("use-key");

/** Whether it has been said that nothing but uploading works without a key. */
let isSaid = false;

/** Ask for the key, and keep it in the tab's storage; not at once where one can upload without. */
export async function askForKey() {
  const isWrong = Boolean(tab.apiKey);
  if (!limits.access) await loadLimits();
  if (!isSaid && !isWrong && limits.access === "upload") {
    isSaid = true;
    throw new ApiError("You can upload without a key. To see the pictures here, try again and enter one.", 401);
  }
  keep("");
  const isNeeded = limits.access !== "open";
  const dialog = openKey(isNeeded ? "This service needs a key" : "Use your key");
  const input = dialog.querySelector("input");
  if (isWrong) {
    dialog.querySelector(".error").textContent =
      "That key is wrong. Check it, or ask whoever runs the service.";
    input.setAttribute("aria-invalid", "true");
  }
  if (await whenClosed(dialog)) keep(input.value);
  else if (isNeeded) {
    throw new ApiError("The service needs a key for this. Try again and enter the API key.", 401);
  }
}

/** Ask for a key of one's own, or for another one, and show what it reaches. */
async function changeKey() {
  const dialog = openKey(tab.apiKey ? "You use a key" : "Use your key");
  const forget = dialog.querySelector(".forget");
  forget.hidden = !tab.apiKey;
  forget.addEventListener("click", () => dialog.close("forget"));
  const isEntered = await whenClosed(dialog);
  if (!isEntered && dialog.returnValue !== "forget") return;
  keep(isEntered ? dialog.querySelector("input").value : "");
  setSearch(currentSearch());
}

function openKey(title) {
  const dialog = openDialog("key");
  dialog.querySelector("h2").textContent = title;
  return dialog;
}

function keep(key) {
  tab.apiKey = key;
  showUse();
}

/** Show whether a key is in use. */
function showUse() {
  button.classList.toggle("used", Boolean(tab.apiKey));
  button.ariaLabel = tab.apiKey ? "Your key" : "Use a key";
}

showUse();
button.removeAttribute("disabled");
button.addEventListener("click", changeKey);
