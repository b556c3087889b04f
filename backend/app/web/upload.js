/** One upload: a file sent, again where waiting helps, and its row in the list. */

import { limits, uploadImage } from "./api.js";
import { countDown } from "./countdown.js";
import { copyTemplate } from "./dom.js";
import { ApiError, MAX_ATTEMPTS } from "./errors.js";
import { formatBytes } from "./format.js";
import { addImage } from "./images.js";
import { TRUNCATED } from "./messages.js";
import { dequeue, enqueue, showSummary } from "./queue.js";

export class Upload {
  row = copyTemplate("upload");
  #file;
  #isStripped;
  #cancellation = new AbortController();

  /** @param {File} file  @param {boolean} isStripped Whether it loses its metadata. */
  constructor(file, isStripped) {
    this.#file = file;
    this.#isStripped = isStripped;
    this.#part(".name").textContent = file.name;
    this.#part("progress").ariaLabel = `Progress of ${file.name}`;
    this.#part(".cancel").addEventListener("click", () => this.#cancel());
    this.#part(".retry").addEventListener("click", () => this.#restart());
    this.#part(".keep").addEventListener("click", () => {
      this.#isStripped = false;
      this.#restart();
    });
    this.#reset();
  }

  #part(selector) {
    return this.row.querySelector(selector);
  }

  #show(state) {
    this.#part(".state").textContent = state;
  }

  /** Show these buttons alone; the row keeps the focus of one that disappears. */
  #offer(...names) {
    for (const button of this.row.querySelectorAll("button")) {
      if (button === document.activeElement) this.row.focus();
      button.hidden = !names.includes(button.className);
    }
  }

  #reset() {
    this.row.className = "";
    this.#part("progress").value = 0;
    this.#part(".numbers").textContent = formatBytes(this.#file.size);
    this.#show("Waiting");
    this.#offer("cancel");
  }

  #cancel() {
    this.#cancellation.abort();
    if (dequeue(this)) this.#finish("Cancelled", "cancelled"); // else run() sees it
  }

  #restart() {
    if (!this.row.matches(".failed")) return; // countDown() ends
    this.#reset();
    enqueue([this]);
  }

  #finish(state, outcome, button) {
    this.#show(state);
    this.#offer(button);
    this.row.className = `over ${outcome}`;
    showSummary();
  }

  /** Send the file, again where waiting helps, until its outcome is known. */
  async run() {
    const { signal } = this.#cancellation;
    for (let attempt = 1; !signal.aborted; attempt += 1) {
      try {
        const image = await this.#send(signal);
        addImage(image);
        const kept = this.#isStripped ? "" : ", with all its data";
        const note = image.truncated ? `. ${TRUNCATED}` : "";
        return this.#finish(`Upload successful${kept}${note}`, "succeeded");
      } catch (error) {
        if (signal.aborted) break;
        if (!(error instanceof ApiError)) throw error;
        if (error.retryAfter === null || attempt === MAX_ATTEMPTS) {
          const button = error.asksForMetadata ? "keep" : error.isTransient && "retry";
          return this.#finish(error.message, button ? "failed" : "refused", button);
        }
        await this.#waitAfter(error, signal);
      }
    }
    this.#finish("Cancelled", "cancelled");
  }

  async #waitAfter({ message, retryAfter }, signal) {
    this.#show(message);
    this.#part("progress").value = 0;
    this.#offer("retry", "cancel");
    await countDown(retryAfter, this.#part(".numbers"), this.#part(".retry"), signal);
    this.#offer("cancel");
  }

  async #send(signal) {
    const { size } = this.#file;
    const most = limits.max_upload_bytes;
    const tooLarge = `The file is larger than ${formatBytes(most)}, the most this service takes.`;
    if (size > most) throw new ApiError(tooLarge, 413);
    const start = await this.#file.slice(0, 1).arrayBuffer().catch(() => null);
    if (!start?.byteLength) throw new ApiError("The file is empty, a folder, or unreadable.", 400);
    let began;
    return uploadImage(this.#file, this.#isStripped, signal, {
      loadstart: ({ timeStamp }) => {
        began = timeStamp;
        this.#show("Sending");
      },
      progress: ({ loaded, total, timeStamp }) => {
        const fraction = loaded / total;
        const rate = (size * fraction * 1000) / Math.max(timeStamp - began, 1);
        this.#part("progress").value = fraction;
        this.#part(".numbers").textContent =
          `${formatBytes(size * fraction)} of ${formatBytes(size)} · ${formatBytes(rate)}/s`;
      },
      load: () => {
        this.#show("Saving");
        this.#offer(); // too late to cancel: the service has it all
      },
    });
  }
}
