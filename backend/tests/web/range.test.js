import assert from "node:assert/strict";
import { test } from "node:test";

import { extendRange, idsBetween } from "../../app/web/range.js";

const IDS = ["a", "b", "c", "d", "e"];

test("a range has both of its ends, whichever comes first", () => {
  assert.deepEqual(idsBetween(IDS, "b", "d"), ["b", "c", "d"]);
  assert.deepEqual(idsBetween(IDS, "d", "b"), ["b", "c", "d"]);
  assert.deepEqual(idsBetween(IDS, "c", "c"), ["c"]);
});

test("there is no range from or to what is not shown", () => {
  assert.deepEqual(idsBetween(IDS, "b", "gone"), []);
  assert.deepEqual(idsBetween(IDS, null, "b"), []);
});

test("a range that turns back lets its end go and keeps what was selected before", () => {
  const before = new Set(["a", "c"]);
  assert.deepEqual([...extendRange(IDS, before, "c", "e")].sort(), ["a", "c", "d", "e"]);
  assert.deepEqual([...extendRange(IDS, before, "c", "d")].sort(), ["a", "c", "d"]);
  assert.deepEqual([...extendRange(IDS, before, "c", "b")].sort(), ["a", "b", "c"]);
});
