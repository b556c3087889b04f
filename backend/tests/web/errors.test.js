import assert from "node:assert/strict";
import { test } from "node:test";

import { ApiError, RETRY_SECONDS } from "../../app/web/errors.js";

const PROBLEM = { "Content-Type": "application/problem+json" };
const answer = (status, body, headers = PROBLEM) =>
  ApiError.ofAnswer(status, body, (name) => headers[name] ?? null);

test("the sentence of a problem is the service's own", () => {
  const error = answer(400, { type: "/problems#bad", detail: "The file is empty." });
  assert.equal(error.message, "The file is empty.");
  assert.equal(error.type, "/problems#bad");
});

test("what a proxy says is not shown, and asks for no key", () => {
  const error = answer(401, { detail: "<b>no</b>" }, { "Content-Type": "application/json" });
  assert.doesNotMatch(error.message, /<b>/);
  assert.equal(error.asksForKey, false);
  assert.equal(answer(401, {}).asksForKey, true);
});

test("a busy service says when to come back; one that does not is asked soon", () => {
  assert.equal(answer(429, {}, { ...PROBLEM, "Retry-After": "17" }).retryAfter, 17);
  assert.equal(answer(503, {}).retryAfter, RETRY_SECONDS);
  assert.equal(answer(500, {}).retryAfter, null);
});

test("a request may be sent again where another answer is possible", () => {
  const transient = [401, 408, 429, 500, 503].map((status) => answer(status, {}).isTransient);
  assert.ok(transient.every(Boolean));
  assert.ok(!answer(400, {}).isTransient);
  assert.ok(!answer(413, {}).isTransient);
  assert.ok(ApiError.ofNetwork().isTransient);
});
