/**
 * The gallery: a client of the public API (see /docs) and of nothing else.
 *
 * From top to bottom: the page's parts, the API and its key, the gallery, one picture's details,
 * uploads, the start. What comes from elsewhere becomes text and attributes, never HTML.
 */

import { readTransfer } from "./dropped.js";

/** @typedef {object} Picture  As the API describes it. */

const IMAGES = "api/v1/images";
const PAGE_SIZE = 60;
const MAX_IN_FLIGHT = 3;
const MAX_ATTEMPTS = 4;
const RETRY_SECONDS = 5;
const STATUS_SECONDS = 6;
const TRUNCATED = "The file ends before its picture does: part of it is missing.";

// The page's parts

const part = (id) => document.getElementById(id);

const gallery = part("gallery");
const transfers = part("transfers");
const transferList = transfers.querySelector("ul");

/** Copy what a template holds. */
const made = (id) => part(id).content.firstElementChild.cloneNode(true);

/** Show a dialog made from a template; once closed, it is gone. */
function openDialog(id) {
  const dialog = made(id);
  document.body.append(dialog);
  dialog.querySelector(".cancel")?.addEventListener("click", () => dialog.close());
  dialog.addEventListener("close", () => dialog.remove());
  dialog.showModal();
  return dialog;
}

/** Wait until a dialog is closed. @returns {Promise<boolean>} whether with its main button */
const whenClosed = (dialog) =>
  new Promise((resolve) => {
    dialog.addEventListener("close", () => resolve(dialog.returnValue === "done"));
  });

/** Tell something in passing, in words that a screen reader speaks too. */
function say(sentence) {
  const region = document.querySelector("dialog[open] [role=status]") ?? part("status");
  region.textContent = sentence;
  setTimeout(() => {
    if (region.textContent === sentence) region.textContent = "";
  }, STATUS_SECONDS * 1000);
}

function inBytes(count) {
  const units = ["bytes", "KiB", "MiB", "GiB"];
  const power = Math.min(Math.floor(Math.log2(Math.max(count, 1)) / 10), 3);
  const digits = { maximumFractionDigits: power ? 1 : 0 };
  return `${(count / 1024 ** power).toLocaleString(undefined, digits)} ${units[power]}`;
}

function inTime(seconds) {
  const minutes = Math.floor(seconds / 60);
  return minutes ? `${minutes} min ${seconds % 60} s` : `${seconds} s`;
}

/**
 * Wait, telling each second how many are left. A click on the button ends it, the network's
 * return, or the signal.
 */
function pause(seconds, tell, button, signal) {
  return new Promise((resolve) => {
    const end = Date.now() + seconds * 1000;
    const over = new AbortController();
    const tick = () => {
      const left = Math.ceil((end - Date.now()) / 1000);
      if (left > 0) tell(left);
      else finish();
    };
    const timer = setInterval(tick, 1000);
    const finish = () => {
      clearInterval(timer);
      over.abort();
      resolve();
    };
    button.addEventListener("click", finish, { signal: over.signal });
    addEventListener("online", finish, { signal: over.signal });
    signal?.addEventListener("abort", finish, { signal: over.signal });
    tick();
  });
}

// The API and its key

/** What went wrong, in a sentence for people. */
class Failure extends Error {
  /** status: of HTTP, 0 = no answer; retryAfter: seconds until the next try, null = none. */
  constructor(sentence, status = 0, retryAfter = null) {
    super(sentence);
    this.status = status;
    this.retryAfter = retryAfter;
  }

  /** Whether the service asks for another key. */
  asksForKey = false;

  /** Whether the same request may succeed another time. */
  get mayPass() {
    const { status } = this;
    return status < 400 || [401, 408, 429].includes(status) || status >= 500;
  }

  /** No answer came: what was asked for may be asked for again. */
  static ofNetwork() {
    // A browser that knows that it is offline also says when it is back: see pause().
    return new Failure("There is no connection to the service.", 0, navigator.onLine ? RETRY_SECONDS : Infinity);
  }

  /**
   * An answer that is not what was asked for: the service's problem details (RFC 9457), or what a
   * proxy in front of it sent instead.
   */
  static ofAnswer(status, body, header) {
    const isOurs = header("Content-Type")?.startsWith("application/problem+json");
    const waits = status === 429 || status === 503;
    const failure = new Failure(
      (isOurs && body?.detail) || sentenceOfProxy(status),
      status,
      waits ? Number(header("Retry-After")) || RETRY_SECONDS : null,
    );
    failure.asksForKey = Boolean(isOurs) && status === 401;
    return failure;
  }
}

function sentenceOfProxy(status) {
  const proxy = "A proxy in front of the service";
  if (status === 413) {
    return `${proxy} refused the file: its limit on the size of a request is smaller. Send a smaller file, or have that limit raised.`;
  }
  if (status >= 500) return `${proxy} got no answer from it (status ${status}). Try again shortly.`;
  return `${proxy} answered in its place (status ${status}). Reload the page; you may have to sign in.`;
}

/** Forgotten with the tab; where the browser stores nothing, with the page. */
let key = "";

/** Without a key, take the one that was kept. */
function keepKey(given) {
  try {
    if (given !== undefined) sessionStorage.setItem("key", given);
    given ??= sessionStorage.getItem("key");
  } catch {}
  key = given ?? "";
}
keepKey();

const authorization = () => (key ? { Authorization: `Bearer ${key}` } : {});

/** Call the API. @throws {Failure} */
async function call(method, path) {
  const usedKey = key;
  let answer;
  try {
    answer = await fetch(path, { method, headers: authorization(), cache: "no-store" });
  } catch {
    throw Failure.ofNetwork();
  }
  const body = await answer.json().catch(() => null);
  if (answer.ok && (body || answer.status === 204)) return body;
  const header = (name) => answer.headers.get(name);
  if (answer.ok && !header("Content-Type")?.startsWith("text/html")) throw Failure.ofNetwork(); // cut short
  const failure = Failure.ofAnswer(answer.status, body, header);
  if (answer.ok) failure.retryAfter = RETRY_SECONDS; // until somebody has signed in, say
  if (!failure.asksForKey) throw failure;
  await askForKey(usedKey);
  return call(method, path);
}

/** While the question is open, so that it is asked once. */
let question = null;

/** Ask for the key, unless another than the refused one has been given since. @throws {Failure} */
async function askForKey(refusedKey) {
  if (key && key !== refusedKey) return;
  question ??= openKeyDialog(refusedKey !== "").finally(() => {
    question = null;
  });
  await question;
}

async function openKeyDialog(isWrong) {
  keepKey("");
  const dialog = openDialog("key");
  const input = dialog.querySelector("input");
  if (isWrong) {
    dialog.querySelector(".error").textContent = "That key is wrong.";
    input.setAttribute("aria-invalid", "true");
  }
  if (!(await whenClosed(dialog))) throw new Failure("Pictures are shown to those with the key.", 401);
  keepKey(input.value);
}

// The gallery

/** @type {Map<string, {picture: Picture, tile: HTMLElement}>} What the gallery shows, by id. */
const shown = new Map();

/** @type {?string} Of the next page: "" for the first one, null after the last. */
let cursor = "";

/** While a page is being loaded. */
let loading = null;

const fileAddress = (picture) => `${IMAGES}/${picture.id}/file`;

/** Show a picture's file; ask again for one that does not come. */
function showFile(image, picture) {
  let seconds = RETRY_SECONDS;
  image.alt = picture.filename;
  image.addEventListener("load", () => image.classList.remove("broken"));
  image.addEventListener("error", () => {
    image.classList.add("broken");
    setTimeout(() => {
      if (image.isConnected) image.src = image.src;
    }, seconds * 1000);
    seconds = Math.min(2 * seconds, 60);
  });
  image.src = fileAddress(picture);
}

function addTile(picture, isNewest = false) {
  if (shown.has(picture.id)) return;
  const tile = made("tile");
  tile.querySelector("a").href = `#${picture.id}`;
  showFile(tile.querySelector("img"), picture);
  shown.set(picture.id, { picture, tile });
  if (isNewest) gallery.prepend(tile);
  else gallery.append(tile);
  showExtent();
}

/** Take a picture out of the gallery. */
function removeTile(id) {
  shown.get(id)?.tile.remove();
  shown.delete(id);
  showExtent();
}

/** Show whether there is anything at all, and anything to step to. */
function showExtent() {
  part("empty").hidden = shown.size > 0 || cursor !== null;
  showSteps();
}

/** Load the next page, if there is one; settled when it is there, however long that takes. */
function loadMore() {
  if (cursor !== null) {
    loading ??= loadPage().finally(() => {
      loading = null;
    });
  }
  return loading;
}

async function loadPage() {
  const query = new URLSearchParams({ limit: PAGE_SIZE, ...(cursor && { cursor }) });
  for (let attempt = 1; ; attempt += 1) {
    part("loading").hidden = false;
    try {
      const page = await call("GET", `${IMAGES}?${query}`);
      cursor = page.next_cursor;
      for (const picture of page.items) addTile(picture);
      break;
    } catch (failure) {
      if (!(failure instanceof Failure)) throw failure;
      part("loading").hidden = true;
      await showFailure(failure, attempt);
    }
  }
  part("loading").hidden = true;
  showExtent();
  observeEnd();
}

/** Show why there are no pictures, until it is time to try again. */
async function showFailure(failure, attempt) {
  const box = part("failure");
  const [sentence, countdown] = box.querySelectorAll("p");
  const seconds = attempt < MAX_ATTEMPTS ? (failure.retryAfter ?? Infinity) : Infinity;
  box.hidden = false;
  sentence.textContent = failure.message;
  if (details) say(failure.message); // the box is behind them
  await pause(
    seconds,
    (left) => {
      countdown.textContent = Number.isFinite(left) ? `Trying again in ${inTime(left)}` : "";
    },
    box.querySelector("button"),
  );
  box.hidden = true;
}

const endObserver = new IntersectionObserver(
  (entries) => {
    if (entries.at(-1).isIntersecting) loadMore();
  },
  { rootMargin: "100%" },
);

/** Tell whether the end is in sight, also where it has been all the time. */
function observeEnd() {
  endObserver.unobserve(part("end"));
  endObserver.observe(part("end"));
}

// One picture's details: the address names it, so that it can be shared and gone back from

/** @type {?{dialog: HTMLDialogElement, picture: Picture}} */
let details = null;

/** Note in a new entry of the browser's history whether the one before it is the gallery. */
function noteEntry(isAfterGallery) {
  if (history.state === null) history.replaceState({ isAfterGallery }, "");
}

/** Whether the browser is on its way back to the gallery. */
let isLeaving = false;

/** How often the address has changed: only the last change counts. */
let changes = 0;

async function showAddressed() {
  const change = (changes += 1);
  const id = location.hash.slice(1);
  document.querySelector(".box:has(.danger)")?.close();
  if (!id) {
    closeDetails();
    return;
  }
  try {
    const known = shown.get(id)?.picture;
    const picture = known ?? (await call("GET", `${IMAGES}/${encodeURIComponent(id)}`));
    if (change === changes) showDetails(picture);
  } catch (failure) {
    if (!(failure instanceof Failure)) throw failure;
    if (change !== changes) return;
    const notice = openDialog("notice");
    notice.querySelector(".sentence").textContent = failure.message;
    await whenClosed(notice);
    leaveAddress();
  }
}

/** @param {Picture} picture */
function showDetails(picture) {
  const dialog = details?.dialog.open ? details.dialog : openDetails();
  details = { dialog, picture };
  const field = (selector) => dialog.querySelector(selector);
  const image = new Image(); // a new one: the old would show its picture until this one came
  showFile(image, picture);
  field("img").replaceWith(image);
  field("h2").textContent = picture.filename;
  field(".size").textContent = inBytes(picture.file_size);
  field(".type").textContent = picture.content_type.replace("image/", "").toUpperCase();
  field("time").dateTime = picture.created_at;
  field("time").textContent = new Date(picture.created_at).toLocaleString(undefined, {
    dateStyle: "long",
    timeStyle: "short",
  });
  field(".truncated").textContent = picture.truncated ? TRUNCATED : "";
  field(".dimensions").hidden = !(picture.width && picture.height);
  field(".dimensions dd").textContent = `${picture.width} × ${picture.height} pixels`;
  field(".download").href = `${fileAddress(picture)}?download=1`;
  showSteps();
}

function openDetails() {
  clearTransfers(".succeeded, .cancelled");
  const dialog = openDialog("details");
  const onClick = (selector, action) =>
    dialog.querySelector(selector).addEventListener("click", action);
  onClick(".previous", () => step(-1));
  onClick(".next", () => step(1));
  onClick(".copy-link", () => copy("Link", details.picture.url));
  onClick(".copy-markdown", () => copy("Markdown", asMarkdown(details.picture)));
  onClick(".copy-html", () => copy("HTML", asHtml(details.picture)));
  onClick(".danger", () => deletePicture(details.picture));
  dialog.addEventListener("close", () => {
    if (details?.dialog !== dialog) return; // closed because the address changed
    closeDetails();
    leaveAddress();
  });
  return dialog;
}

function closeDetails() {
  if (!details) return;
  const { dialog, picture } = details;
  details = null;
  dialog.close();
  focusOn(shown.get(picture.id)?.tile);
}

/** Go back to the address of the gallery, unless the reader has done so. */
function leaveAddress() {
  if (!location.hash) return;
  isLeaving = history.state?.isAfterGallery;
  if (isLeaving) history.back();
  else history.replaceState(history.state, "", location.pathname);
}

/** Let a picture that is opened while the browser is still going back wait for that. */
function openAfterLeaving(event) {
  const link = event.target.closest("a");
  if (!link || !isLeaving) return;
  event.preventDefault();
  addEventListener("hashchange", () => link.click(), { once: true });
}

const focusOn = (tile) => (tile?.querySelector("a") ?? part("add")).focus();

/** Tell which tile is the next (1) or the previous one (-1). @returns {?HTMLElement} */
function neighbourOf(picture, direction) {
  const tile = shown.get(picture.id)?.tile;
  return (direction > 0 ? tile?.nextElementSibling : tile?.previousElementSibling) ?? null;
}

async function step(direction) {
  const { picture } = details;
  if (direction > 0 && !neighbourOf(picture, 1)) {
    part("failure").querySelector("button").click(); // if that waits, it need not
    await loadMore();
  }
  const tile = neighbourOf(picture, direction);
  if (!tile || details?.picture !== picture) return;
  history.replaceState(history.state, "", tile.querySelector("a").hash);
  showAddressed();
}

function stepByKey(event) {
  if (!details || document.querySelector(".box[open]")) return;
  if (event.altKey || event.ctrlKey || event.metaKey || event.shiftKey) return; // the browser's own
  if (event.key === "ArrowLeft") step(-1);
  if (event.key === "ArrowRight") step(1);
}

/** Show whether there is anything to step to. */
function showSteps() {
  if (!details) return;
  const { dialog, picture } = details;
  const isLast = !neighbourOf(picture, 1) && (cursor === null || !shown.has(picture.id));
  dialog.querySelector(".previous").ariaDisabled = String(!neighbourOf(picture, -1));
  dialog.querySelector(".next").ariaDisabled = String(isLast);
}

async function copy(what, text) {
  let isCopied = true;
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    isCopied = copySelection(text);
  }
  say(isCopied ? `${what} copied` : "The browser did not let this page copy.");
}

/** Copy as one did before navigator.clipboard, which plain HTTP from another machine lacks. */
function copySelection(text) {
  const focused = document.activeElement;
  const area = document.createElement("textarea");
  area.value = text;
  (details?.dialog ?? document.body).append(area);
  area.select();
  const isCopied = document.execCommand("copy");
  area.remove();
  focused.focus();
  return isCopied;
}

const asMarkdown = ({ filename, url }) =>
  `![${filename.replace(/[\\`*_[\]<>&]/g, "\\$&")}](${url})`;

function asHtml({ filename, url }) {
  // In a document that is not shown, so that nothing is loaded from there.
  const image = document.implementation.createHTMLDocument().createElement("img");
  image.setAttribute("src", url);
  image.alt = filename;
  return image.outerHTML;
}

/** @param {Picture} picture */
async function deletePicture(picture) {
  const confirmation = openDialog("confirmation");
  confirmation.querySelector(".name").textContent = picture.filename;
  if (!(await whenClosed(confirmation))) return;
  try {
    await call("DELETE", `${IMAGES}/${picture.id}`);
  } catch (failure) {
    if (failure.status !== 404) {
      say(failure.message);
      return;
    }
  }
  const neighbour = neighbourOf(picture, 1) ?? neighbourOf(picture, -1);
  removeTile(picture.id);
  if (details?.picture.id === picture.id) {
    closeDetails();
    leaveAddress();
  }
  if (!details) focusOn(neighbour);
  say("Picture removed");
}

// Uploads: each file has a row of its own, and stands alone

/** What waits until there is room. */
const waiting = [];
let inFlight = 0;

let limits = { max_upload_bytes: Infinity, accepted_types: ["image/jpeg", "image/png"] };

function addFiles(files) {
  if (files.length === 0) return;
  document.querySelector(".chooser")?.close();
  if (details) say("Uploading");
  clearTransfers(".succeeded, .cancelled, .refused");
  for (const file of files) waiting.push(new Upload(file));
  startWaiting();
}

/** Add what is dropped or pasted; of what folders hold, the pictures. */
async function addTransfer(transfer) {
  const { files, hasFolder, passedOver } = await readTransfer(transfer, limits.accepted_types);
  addFiles(files);
  const things = passedOver === 1 ? "1 file" : `${passedOver} files`;
  if (passedOver) say(`${things} passed over: hidden, unreadable, or neither JPEG nor PNG.`);
  else if (hasFolder && files.length === 0) say("There is no file in it.");
}

function startWaiting() {
  while (inFlight < MAX_IN_FLIGHT && waiting.length > 0) {
    inFlight += 1;
    waiting
      .shift()
      .run()
      .finally(() => {
        inFlight -= 1;
        startWaiting();
      });
  }
  showTransfers();
}

function showTransfers() {
  const all = transferList.children.length;
  const done = transferList.querySelectorAll(".over").length;
  transfers.hidden = all === 0;
  transfers.querySelector("h2").textContent = `${done} of ${all} done`;
  transfers.querySelector("header button").hidden = done < all;
}

/** Take the rows of some outcomes away: they have nothing more to tell. */
function clearTransfers(outcomes) {
  for (const row of transferList.querySelectorAll(outcomes)) row.remove();
  showTransfers();
}

/** One file on its way to the service. */
class Upload {
  #file;
  #row = made("transfer");
  #cancellation = new AbortController();

  /** @param {File} file */
  constructor(file) {
    this.#file = file;
    this.#part(".name").textContent = file.name;
    this.#part("progress").ariaLabel = `Progress of ${file.name}`;
    this.#part(".numbers").textContent = inBytes(file.size);
    this.#part(".cancel").addEventListener("click", () => this.#cancel());
    transferList.append(this.#row);
  }

  #cancel() {
    this.#cancellation.abort();
    const place = waiting.indexOf(this);
    if (place < 0) return; // run() sees it
    waiting.splice(place, 1);
    this.#finish("Cancelled", "cancelled");
    showTransfers();
  }

  /** Send the file, again where waiting helps, until its fate is known. */
  async run() {
    for (let attempt = 1; !this.#cancellation.signal.aborted; attempt += 1) {
      try {
        const picture = await this.#send();
        addTile(picture, true);
        this.#finish(`Upload successful${picture.truncated ? `. ${TRUNCATED}` : ""}`, "succeeded");
        return;
      } catch (failure) {
        if (this.#cancellation.signal.aborted) break;
        if (!(failure instanceof Failure)) throw failure;
        if (failure.retryAfter === null || attempt === MAX_ATTEMPTS) {
          this.#fail(failure);
          return;
        }
        await this.#waitAfter(failure);
      }
    }
    this.#finish("Cancelled", "cancelled");
  }

  #part(selector) {
    return this.#row.querySelector(selector);
  }

  /** Show these buttons alone; the row keeps the focus of one that goes. */
  #offer(...names) {
    for (const button of this.#row.querySelectorAll("button")) {
      if (button === document.activeElement) this.#row.focus();
      button.hidden = !names.includes(button.className);
    }
  }

  #show(state) {
    this.#part(".state").textContent = state;
  }

  /** @returns {Promise<Picture>} @throws {Failure} */
  async #send() {
    const { max_upload_bytes: most } = limits;
    if (this.#file.size > most) {
      throw new Failure(`The file is larger than ${inBytes(most)}, the most this service takes.`, 413);
    }
    const start = await this.#file.slice(0, 1).arrayBuffer().catch(() => null);
    if (!start?.byteLength) throw new Failure("This is empty, a folder, or cannot be read.", 400);
    await question;
    this.#cancellation.signal.throwIfAborted();
    const usedKey = key;
    try {
      return await this.#post();
    } catch (failure) {
      if (!failure.asksForKey) throw failure;
      await askForKey(usedKey);
      return this.#send();
    }
  }

  /** Post the form with XMLHttpRequest, because fetch() does not tell how far it is. */
  #post() {
    const form = new FormData();
    form.append("file", this.#file);
    const request = new XMLHttpRequest();
    const began = performance.now();
    let isSent = false;
    request.open("POST", `${IMAGES}/upload`);
    request.responseType = "json";
    for (const [name, value] of Object.entries(authorization())) {
      request.setRequestHeader(name, value);
    }
    this.#show("Sending");
    request.upload.addEventListener("progress", ({ loaded, total }) => {
      this.#showProgress(loaded / total, performance.now() - began);
    });
    request.upload.addEventListener("load", () => {
      isSent = true;
      this.#show("Saving");
      this.#offer(); // too late to cancel: the service has it all
    });
    const cancel = () => request.abort();
    this.#cancellation.signal.addEventListener("abort", cancel);
    return new Promise((resolve, reject) => {
      request.addEventListener("load", () => {
        const { status, response } = request;
        if (status === 201 && response) resolve(response);
        else if (status === 201) reject(answerLost());
        else reject(Failure.ofAnswer(status, response, (name) => request.getResponseHeader(name)));
      });
      request.addEventListener("error", () => reject(isSent ? answerLost() : Failure.ofNetwork()));
      request.addEventListener("abort", () => reject(new Failure("Cancelled")));
      request.send(form);
    }).finally(() => this.#cancellation.signal.removeEventListener("abort", cancel));
  }

  #showProgress(fraction, milliseconds) {
    const { size } = this.#file;
    const rate = (size * fraction * 1000) / Math.max(milliseconds, 1);
    this.#part("progress").value = fraction;
    this.#part(".numbers").textContent =
      `${inBytes(size * fraction)} of ${inBytes(size)} · ${inBytes(rate)}/s`;
  }

  /** Wait as long as the service asks for, or until the network is back. */
  async #waitAfter(failure) {
    this.#show(failure.message);
    this.#part("progress").value = 0;
    this.#offer("retry", "cancel");
    await pause(
      failure.retryAfter,
      (left) => {
        this.#part(".numbers").textContent = Number.isFinite(left)
          ? `Trying again in ${inTime(left)}`
          : "Goes on when the network is back";
      },
      this.#part(".retry"),
      this.#cancellation.signal,
    );
    this.#offer("cancel");
  }

  #fail(failure) {
    this.#finish(failure.message, failure.mayPass ? "failed" : "refused");
    if (!failure.mayPass) return;
    this.#offer("retry");
    this.#part(".retry").addEventListener("click", () => this.#restart(), { once: true });
  }

  #restart() {
    this.#row.className = "";
    this.#offer("cancel");
    this.#part(".numbers").textContent = inBytes(this.#file.size);
    this.#part("progress").value = 0;
    this.#show("Waiting");
    waiting.push(this);
    startWaiting();
  }

  #finish(state, outcome) {
    this.#show(state);
    this.#offer();
    this.#row.className = `over ${outcome}`;
  }
}

const answerLost = () =>
  new Failure("The connection broke before the answer came. See whether the picture is there.");

async function chooseFiles() {
  const dialog = openDialog("chooser");
  const most = limits.max_upload_bytes;
  const size = Number.isFinite(most) ? `, up to ${inBytes(most)} each` : "";
  dialog.querySelector(".quiet").textContent =
    `JPEG or PNG${size}. You can also drop files and folders anywhere on the page, or paste them.`;
  if (await whenClosed(dialog)) addFiles(dialog.querySelector("input").files);
}

function acceptDrops() {
  let isOurs = false; // a tile that is dragged looks like a file
  const mark = (isDropping) => document.documentElement.classList.toggle("dropping", isDropping);
  const brings = ({ dataTransfer }) => !isOurs && dataTransfer.types.includes("Files");
  const note = ({ type }) => {
    isOurs = type === "dragstart";
  };
  addEventListener("dragstart", note);
  addEventListener("dragend", note);
  addEventListener("dragover", (event) => {
    if (!brings(event)) return;
    event.preventDefault();
    mark(true);
  });
  addEventListener("dragleave", (event) => {
    if (!event.relatedTarget) mark(false);
  });
  addEventListener("drop", (event) => {
    mark(false);
    if (!brings(event)) return;
    event.preventDefault();
    addTransfer(event.dataTransfer);
  });
  addEventListener("paste", (event) => addTransfer(event.clipboardData));
}

// The start

history.scrollRestoration = "manual";
part("add").addEventListener("click", chooseFiles);
transfers.querySelector("header button").addEventListener("click", () => {
  clearTransfers(".over");
  part("add").focus();
});
acceptDrops();
addEventListener("beforeunload", (event) => {
  if (inFlight > 0) event.preventDefault();
});
gallery.addEventListener("click", openAfterLeaving);
addEventListener("keydown", stepByKey);
addEventListener("hashchange", (event) => {
  isLeaving = false;
  noteEntry(!new URL(event.oldURL).hash);
  showAddressed();
});
noteEntry(false);
loadMore();
showAddressed();
call("GET", "api/v1/limits").then(
  (answer) => {
    limits = answer;
  },
  () => {}, // then the service alone says what is too large
);
