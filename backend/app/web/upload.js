/** One upload: a file sent, again where waiting helps, and its row in the list. */

import { countDown } from "./countdown.js";
import { copyTemplate } from "./dom.js";
import { ApiError, MAX_ATTEMPTS } from "./errors.js";
import { formatBytes } from "./format.js";
import { addImage, currentSearch } from "./images.js";
import { limits } from "./limits.js";
import { TRUNCATED } from "./messages.js";
import { setPreview } from "./previews.js";
import { allUploads, noteChange, startNext } from "./queue.js";
import { uploadImage } from "./sending.js";
import { isEverything } from "./search.js";
import { shrink } from "./shrink.js";

/** How long an image that has been added may wait for its preview. */
const PREVIEW_MS = 2_000;

/** Bytes that all uploads have sent, again and again if need be. */
export let sentInAll = 0;

export class Upload {
  /** @type {import("./progress.js").Item["state"]} */
  state = "waiting";
  loaded = 0;
  finished = 0;
  #file;
  #choice;
  /** What the service knows it by, so that it is stored once however often it is sent. */
  #key = makeKey();
  #cancellation = new AbortController();
  /** What its row says, and the buttons it has. */
  #sentence = "";
  #numbers = "";
  #buttons = [];
  /** @type {?any} */
  #row = null;

  /** @param {File} file  @param {import("./sending.js").Choice} choice */
  constructor(file, choice) {
    this.#file = file;
    this.#choice = { ...choice };
    this.size = file.size;
  }

  /** Its row, made when it is first shown. */
  get row() {
    return (this.#row ??= this.#makeRow());
  }

  #makeRow() {
    const row = copyTemplate("upload");
    const { name } = this.#file;
    row.querySelector(".name").textContent = row.title = name;
    row.querySelector("progress").ariaLabel = `Progress of ${name}`;
    row.querySelector(".cancel").addEventListener("click", () => this.cancel());
    for (const button of row.querySelectorAll(".retry, .keep")) {
      button.addEventListener("click", () => {
        if (!this.canRestart) return; // countDown() ends
        this.reset();
        startNext();
        noteChange();
      });
    }
    this.#draw(row);
    return row;
  }

  #draw(row = this.#row) {
    if (!row) return;
    row.className = this.state;
    row.querySelector(".state").textContent = this.#sentence;
    row.querySelector(".numbers").textContent = this.#numbers;
    row.querySelector("progress").value = this.loaded / this.size || 0;
    for (const button of row.querySelectorAll("button")) {
      const isHidden = !this.#buttons.includes(button.classList[0]);
      if (isHidden && button === document.activeElement) row.focus();
      button.hidden = isHidden;
    }
  }

  #show(sentence, ...buttons) {
    this.#sentence = sentence;
    this.#numbers = "";
    this.#buttons = buttons;
    this.#draw();
  }

  #finish(state, sentence, ...buttons) {
    this.state = state;
    this.finished = performance.now();
    this.#show(sentence, ...buttons);
  }

  get canRestart() {
    return this.state === "failed" || this.state === "keepable";
  }

  /** Let it wait to be sent again; with its metadata, if they cannot be removed. */
  reset() {
    if (this.state === "keepable") {
      this.#choice.isStripped = false;
      this.#key = makeKey(); // for it is another request
    }
    this.state = "waiting";
    this.loaded = 0;
    this.#show("");
  }

  /** Stop it, unless it is too late. */
  cancel() {
    if (this.state === "waiting") this.#finish("cancelled", "Cancelled");
    if (this.#buttons.includes("cancel")) this.#cancellation.abort(); // run() sees it
  }

  /** Send the file, again where waiting helps, until its outcome is known. */
  async run() {
    const { signal } = this.#cancellation;
    this.state = "running";
    for (let attempt = 1; !signal.aborted; attempt += 1) {
      try {
        const image = await this.#send(signal);
        showNew(image, this.#file);
        const kept = this.#choice.isStripped ? "" : ", with all its data";
        const state = this.#choice.isPrivate ? ", private" : "";
        const note = image.truncated ? `. ${TRUNCATED}` : "";
        return this.#finish("succeeded", `Upload successful${state}${kept}${note}`);
      } catch (error) {
        if (signal.aborted) break;
        if (!(error instanceof ApiError)) throw error;
        if (error.retryAfter === null || attempt === MAX_ATTEMPTS) return this.#fail(error);
        this.loaded = 0;
        this.#show(error.message, "retry", "cancel");
        const [place, button] = [".numbers", ".retry"].map((part) => this.row.querySelector(part));
        await countDown(error.retryAfter, place, button, signal);
      }
    }
    this.#finish("cancelled", "Cancelled");
  }

  #fail(error) {
    if (error.asksForMetadata) this.#finish("keepable", error.message, "keep");
    else if (error.isTransient) this.#finish("failed", error.message, "retry");
    else this.#finish("refused", error.message);
    if (error.status !== 401) return;
    // The others would only ask for the key again, one after another.
    for (const other of allUploads()) {
      if (other.state === "waiting") other.#finish("failed", error.message, "retry");
    }
  }

  async #send(signal) {
    this.#show("Sending", "cancel");
    const { size } = this;
    const most = limits.max_upload_bytes;
    const tooLarge = `The file is larger than ${formatBytes(most)}, the most this service takes.`;
    if (size > most) throw new ApiError(tooLarge, 413);
    const start = await this.#file.slice(0, 1).arrayBuffer().catch(() => null);
    if (!start?.byteLength) throw new ApiError("The file is empty, a folder, or unreadable.", 400);
    return uploadImage(this.#file, this.#choice, this.#key, signal, {
      progress: ({ loaded, total }) => {
        const bytes = size * (loaded / total);
        sentInAll += bytes - this.loaded;
        this.loaded = bytes;
        this.#numbers = `${formatBytes(bytes)} of ${formatBytes(size)}`;
        this.#draw();
      },
      load: () => {
        this.#show("Saving"); // too late to cancel: the service has it all
        shrink(this.#file);
      },
    });
  }
}

/** Return 128 random bits; crypto.randomUUID() is for pages on HTTPS alone. */
const makeKey = () =>
  [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, "0")).join("");

/**
 * Add a new image to the grid, with a preview of its file if the browser makes one soon; during a
 * search, live.js does if the search finds it.
 */
async function showNew(image, file) {
  const soon = new Promise((resolve) => setTimeout(resolve, PREVIEW_MS));
  const preview = await Promise.race([shrink(file), soon]);
  if (preview) setPreview(image.id, preview);
  if (isEverything(currentSearch())) addImage(image);
}
