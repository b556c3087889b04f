/** What can go wrong between the page and the API. Each error is a sentence for people. */

/** Until the next try, where the service does not say when. */
export const RETRY_SECONDS = 5;
export const MAX_ATTEMPTS = 4;

/** A request that failed. */
export class ApiError extends Error {
  /**
   * status: of HTTP, 0 = no answer; kind: of the service's problem, "" = the answer is not its own.
   * @param {?number} retryAfter Seconds until the next try, null = none.
   */
  constructor(sentence, status = 0, retryAfter = null, kind = "") {
    super(sentence);
    this.status = status;
    this.retryAfter = retryAfter;
    this.kind = kind;
  }

  /** Whether the service needs a key, or another one. */
  get asksForKey() {
    return this.kind !== "" && this.status === 401;
  }

  /** Whether the service cannot remove the file's metadata, but would store it with them. */
  get asksForMetadata() {
    return this.kind === "metadata-not-removable";
  }

  /** Whether the same request may succeed later. */
  get isTransient() {
    const { status } = this;
    return status < 400 || [401, 408, 429].includes(status) || status >= 500;
  }

  /** Return the error of a request that can be repeated, for no answer came. */
  static ofNetwork() {
    // A browser that knows that it is offline also says when it is back: see countDown().
    const { onLine } = navigator;
    const next = onLine ? "Check your network, or try again later." : "Your device is offline.";
    const seconds = onLine ? RETRY_SECONDS : Infinity;
    return new ApiError(`There is no connection to the service. ${next}`, 0, seconds);
  }
}
