/** What can go wrong between the page and the API, in sentences for people. */

/** Until the next try, where the service does not say when. */
export const RETRY_SECONDS = 5;
export const MAX_ATTEMPTS = 4;

/** A request that failed. */
export class ApiError extends Error {
  /**
   * status: of HTTP, 0 = no answer; type: of the service's problem, "" = the answer is not its own.
   * @param {?number} retryAfter Seconds until the next try, null = none.
   */
  constructor(sentence, status = 0, retryAfter = null, type = "") {
    super(sentence);
    this.status = status;
    this.retryAfter = retryAfter;
    this.type = type;
  }

  /** Whether the service needs a key, or another one. */
  get asksForKey() {
    return this.type !== "" && this.status === 401;
  }

  /** Whether the service cannot remove the file's metadata, but would store it with them. */
  get asksForMetadata() {
    return this.type.endsWith("#metadata-not-removable");
  }

  /** Whether the same request may succeed later. */
  get isTransient() {
    const { status } = this;
    return status < 400 || [401, 408, 429].includes(status) || status >= 500;
  }

  /** Return the error of a request that can be repeated, for no answer came. */
  static ofNetwork() {
    // A browser that knows that it is offline also says when it is back: see countDown().
    const seconds = navigator.onLine ? RETRY_SECONDS : Infinity;
    return new ApiError("There is no connection to the service.", 0, seconds);
  }

  /** Return the error of an answer: problem details (RFC 9457), or what a proxy sent instead. */
  static ofAnswer(status, body, header) {
    const isOurs = header("Content-Type")?.startsWith("application/problem+json");
    const sentence = (isOurs && body?.detail) || sentenceOfProxy(status);
    const isBusy = status === 429 || status === 503;
    const retryAfter = isBusy ? Number(header("Retry-After")) || RETRY_SECONDS : null;
    return new ApiError(sentence, status, retryAfter, isOurs ? (body?.type ?? "about:blank") : "");
  }
}

function sentenceOfProxy(status) {
  const proxy = "A proxy in front of the service";
  if (status === 413) {
    return `${proxy} refused the file: its limit on the size of a request is smaller. Send a smaller file, or ask for that limit to be raised.`;
  }
  if (status >= 500) return `${proxy} got no answer from it (status ${status}). Try again shortly.`;
  return `${proxy} answered in its place (status ${status}). Reload the page; you may have to sign in.`;
}
