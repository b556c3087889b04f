/** One upload: a file sent, again where waiting helps, and its row in the list. */

import { limits, uploadImage } from "./api.js";
import { countDown } from "./countdown.js";
import { copyTemplate } from "./dom.js";
import { ApiError, MAX_ATTEMPTS } from "./errors.js";
import { formatBytes } from "./format.js";
import { addImage } from "./images.js";
import { TRUNCATED } from "./messages.js";
import { setPreview } from "./previews.js";
import { allUploads, noteChange, startNext } from "./queue.js";
import { shrink } from "./shrink.js";

/** Bytes that all uploads have sent, again and again if need be. */
export let sentInAll = 0;

export class Upload {
  /** @type {import("./progress.js").State} */
  state = "waiting";
  loaded = 0;
  finished = 0;
  #file;
  #isStripped;
  /** What its row says and offers. */
  #sentence = "";
  #numbers = "";
  #buttons = [];
  #row = null;
  #cancellation = new AbortController();

  /** @param {File} file  @param {boolean} isStripped Whether it loses its metadata. */
  constructor(file, isStripped) {
    this.#file = file;
    this.#isStripped = isStripped;
    this.size = file.size;
  }

  get canRestart() {
    return this.state === "failed" || this.state === "keepable";
  }

  /** Its row, made when it is first shown. */
  get row() {
    if (!this.#row) {
      this.#row = copyTemplate("upload");
      this.#part(".name").textContent = this.#part(".name").title = this.#file.name;
      this.#part("progress").ariaLabel = `Progress of ${this.#file.name}`;
      this.#part(".cancel").addEventListener("click", () => this.cancel());
      for (const button of this.#row.querySelectorAll(".retry, .keep")) {
        button.addEventListener("click", () => this.#restart());
      }
      this.#draw();
    }
    return this.#row;
  }

  #part(selector) {
    return this.#row.querySelector(selector);
  }

  #draw() {
    if (!this.#row) return;
    this.#row.className = this.state;
    this.#part(".state").textContent = this.#sentence;
    this.#part(".numbers").textContent = this.#numbers;
    this.#part("progress").value = this.size ? this.loaded / this.size : 0;
    for (const button of this.#row.querySelectorAll("button")) {
      button.hidden = !this.#buttons.includes(button.classList[0]);
    }
  }

  /** Change what its row says, and what it offers to do. */
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

  /** Stop it, unless it is too late. */
  cancel() {
    if (this.state === "waiting") this.#finish("cancelled", "Cancelled");
    if (this.#buttons.includes("cancel")) this.#cancellation.abort(); // run() sees it
  }

  /** Make it wait to be sent again; with its metadata, if they cannot be removed. */
  reset() {
    if (this.state === "keepable") this.#isStripped = false;
    this.state = "waiting";
    this.loaded = 0;
    this.#show("Waiting");
  }

  #restart() {
    if (!this.canRestart) return; // countDown() ends
    this.reset();
    startNext();
    noteChange();
  }

  /** Send the file, again where waiting helps, until its outcome is known. */
  async run() {
    const { signal } = this.#cancellation;
    this.state = "running";
    for (let attempt = 1; !signal.aborted; attempt += 1) {
      try {
        this.#show("Preparing", "cancel");
        const image = await this.#send(signal);
        showNew(image, this.#file);
        const kept = this.#isStripped ? "" : ", with all its data";
        const note = image.truncated ? `. ${TRUNCATED}` : "";
        return this.#finish("succeeded", `Upload successful${kept}${note}`);
      } catch (error) {
        if (signal.aborted) break;
        if (!(error instanceof ApiError)) throw error;
        if (error.retryAfter === null || attempt === MAX_ATTEMPTS) return this.#fail(error);
        await this.#waitAfter(error, signal);
      }
    }
    this.#finish("cancelled", "Cancelled");
  }

  #fail(error) {
    if (error.asksForMetadata) this.#finish("keepable", error.message, "keep");
    else if (error.isTransient) this.#finish("failed", error.message, "retry");
    else this.#finish("refused", error.message);
    if (error.status !== 401) return;
    // Without a key the others would only ask for it again, one after another.
    const waiting = allUploads().filter(({ state }) => state === "waiting");
    for (const other of waiting) other.#finish("failed", error.message, "retry");
  }

  async #waitAfter({ message, retryAfter }, signal) {
    this.loaded = 0;
    this.#show(message, "retry", "cancel");
    const place = this.row.querySelector(".numbers");
    await countDown(retryAfter, place, this.#part(".retry"), signal);
  }

  async #send(signal) {
    const { size } = this;
    const most = limits.max_upload_bytes;
    const tooLarge = `The file is larger than ${formatBytes(most)}, the most this service takes.`;
    if (size > most) throw new ApiError(tooLarge, 413);
    const start = await this.#file.slice(0, 1).arrayBuffer().catch(() => null);
    if (!start?.byteLength) throw new ApiError("The file is empty, a folder, or unreadable.", 400);
    let began;
    return uploadImage(this.#file, this.#isStripped, signal, {
      loadstart: ({ timeStamp }) => {
        began = timeStamp;
        this.#show("Sending", "cancel");
      },
      progress: ({ loaded, total, timeStamp }) => {
        const bytes = size * (loaded / total);
        const rate = (bytes * 1000) / Math.max(timeStamp - began, 1);
        sentInAll += bytes - this.loaded;
        this.loaded = bytes;
        this.#numbers = `${formatBytes(bytes)} of ${formatBytes(size)} · ${formatBytes(rate)}/s`;
        this.#draw();
      },
      load: () => {
        this.#show("Saving"); // too late to cancel: the service has it all
        shrink(this.#file);
      },
    });
  }
}

/** Add a new image to the grid, with a preview of its file if the browser can make one. */
async function showNew(image, file) {
  const preview = await shrink(file);
  if (preview) setPreview(image.id, preview);
  addImage(image);
}
