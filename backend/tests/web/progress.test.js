import assert from "node:assert/strict";
import { test } from "node:test";

import { inWords, outcomeOf, Pace, summarise } from "../../app/web/progress.js";

let ended = 0;
const upload = (state, { size = 100, loaded = 0 } = {}) => ({
  state,
  size,
  loaded,
  finished: (ended += 1),
});
const several = (count, state, options) =>
  Array.from({ length: count }, () => upload(state, options));

test("what is over counts, however it ended", () => {
  const states = ["waiting", "running", "succeeded", "failed", "keepable", "refused", "cancelled"];
  const { all, over, waiting, failed, retryable, keepable } = summarise(
    states.map((state) => upload(state)),
  );
  assert.deepEqual(
    { all, over, waiting, failed, retryable, keepable },
    { all: 7, over: 5, waiting: 1, failed: 3, retryable: 1, keepable: 1 },
  );
});

test("progress is of bytes, and what has failed leaves nothing to be sent", () => {
  const large = upload("running", { size: 700, loaded: 350 });
  const summary = summarise([large, ...several(2, "failed"), ...several(1, "waiting")]);
  assert.equal(summary.size, 1000);
  assert.equal(summary.left, 450);
  assert.equal(summary.fraction, 0.55);
});

test("empty files are no division by zero", () => {
  assert.equal(summarise([upload("waiting", { size: 0 })]).fraction, 1);
  assert.equal(summarise([]).fraction, 1);
});

test("of 200 files there are rows for what runs and has failed, and the last that are done", () => {
  const done = several(46, "succeeded");
  const items = [...done, ...several(8, "failed"), ...several(3, "running")];
  const { rows } = summarise([...items, ...several(143, "waiting")]);
  assert.equal(rows.running.length, 3);
  assert.equal(rows.failed.length, 8);
  assert.deepEqual(rows.done, done.slice(-5).reverse());
});

test("thousands of failures are no thousands of rows", () => {
  assert.equal(summarise(several(3000, "refused")).rows.failed.length, 100);
});

test("an outcome names what there is", () => {
  const items = [...several(57, "succeeded"), ...several(2, "refused"), ...several(1, "failed")];
  assert.equal(outcomeOf(summarise(items)), "57 added, 3 failed");
  assert.equal(outcomeOf(summarise(several(2, "cancelled"))), "2 cancelled");
});

test("the time left follows the pace of late, and not that of the start", () => {
  const pace = new Pace();
  for (let second = 0; second <= 60; second += 1) {
    pace.note(second < 30 ? second * 1000 : 30_000 + (second - 30) * 100, second * 1000);
  }
  assert.equal(Math.round(pace.secondsFor(6000)), 60);
});

test("the time left is not said before it can be known, nor while nothing moves", () => {
  const pace = new Pace();
  assert.equal(pace.secondsFor(1000), Infinity);
  pace.note(0, 0);
  pace.note(500, 1000);
  assert.equal(pace.secondsFor(1000), Infinity);
  const stalled = new Pace();
  for (let second = 0; second < 30; second += 1) stalled.note(500, second * 1000);
  assert.equal(inWords(stalled.secondsFor(1000)), "");
  assert.equal(inWords(stalled.secondsFor(0)), "");
});

test("the time left is said as people say it", () => {
  assert.equal(inWords(4), "a few seconds left");
  assert.equal(inWords(45), "less than a minute left");
  assert.equal(inWords(170), "about 3 min left");
  assert.equal(inWords(3 * 3600), "about 3 h left");
  assert.equal(inWords(Infinity), "");
});
