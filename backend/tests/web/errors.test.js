import assert from "node:assert/strict";
import { test } from "node:test";

import { ApiError, RETRY_SECONDS } from "../../app/web/errors.js";
import { errorOfAnswer } from "../../app/web/words.js";

const PROBLEM = { "Content-Type": "application/problem+json" };
const ID = "0192f0c1-7c1e-7000-8000-000000000000";
const answer = (status, body, headers = PROBLEM) =>
  errorOfAnswer(status, body, (name) => headers[name] ?? null);
const problem = (kind, status, members = {}) =>
  answer(status, { type: `/problems#${kind}`, detail: `Of ${ID}: status ${status}.`, ...members });

test("a problem is said in the page's own words, with what to do", () => {
  assert.match(problem("image-not-found", 404).message, /was deleted/);
  assert.match(problem("storage-full", 507).message, /Delete pictures/);
  assert.match(problem("too-many-connections", 503).message, /busy/);
  assert.match(problem("missing-scope", 403).message, /key is not for this/);
  assert.match(problem("storage-quota-exceeded", 413).message, /Delete some/);
  assert.match(problem("database-unavailable", 503).message, /database .* try again/);
  const large = problem("file-too-large", 413, { allowed: 52_428_800 });
  assert.match(large.message, /50 MiB.*smaller/);
});

test("what is refused in a request is said by its name", () => {
  const refused = (input) => problem("invalid-request", 422, { errors: [input] }).message;
  assert.match(refused({ in: "query", field: "q" }), /letter, digit/);
  assert.match(refused({ in: "body", field: "filename" }), /A name needs/);
  assert.match(refused({ in: "path", field: "image_id" }), /was deleted/);
  assert.match(refused({ in: "query", field: "cursor" }), /went wrong/);
});

test("no sentence has an id, a status or the name of a setting", () => {
  for (const kind of ["image-not-found", "image-damaged", "internal-error", "cross-site-request", ""]) {
    for (const status of [403, 404, 500]) {
      assert.doesNotMatch(problem(kind, status).message, /\d|_|id\b|HTTP|strip/);
    }
  }
  for (const status of [200, 401, 404, 413, 502, 504]) {
    const { message } = answer(status, "<html>", { "Content-Type": "text/html" });
    assert.doesNotMatch(message, /\d|proxy|status/);
  }
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
  assert.equal(answer(409, { type: "#upload-under-way" }, { ...PROBLEM, "Retry-After": "3" }).retryAfter, 3);
});

test("a request may be sent again where another answer is possible", () => {
  const transient = [401, 408, 429, 500, 503].map((status) => answer(status, {}).isTransient);
  assert.ok(transient.every(Boolean));
  assert.ok(!answer(400, {}).isTransient);
  assert.ok(!answer(413, {}).isTransient);
  assert.ok(ApiError.ofNetwork().isTransient);
});
