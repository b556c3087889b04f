import assert from "node:assert/strict";
import { test } from "node:test";

import { labelOf, sentenceOfChange } from "../../app/web/visibility.js";

const PUBLIC = { is_public: true };
const PRIVATE = { is_public: false };

test("images are made private while one of them is public", () => {
  assert.equal(labelOf([PUBLIC]), "Make private");
  assert.equal(labelOf([PRIVATE, PUBLIC]), "Make private");
  assert.equal(labelOf([PRIVATE, PRIVATE]), "Make public");
});

test("what came of a change is said with what it means", () => {
  const outcome = { is_public: false, changed: [{}], failed: 0, error: null };
  assert.equal(sentenceOfChange(outcome), "1 picture made private: links to it have ended.");
  assert.match(sentenceOfChange({ ...outcome, is_public: true }), /everybody who has the link sees it/);
  const failed = { ...outcome, changed: [{}, {}], failed: 3, error: new Error("No.") };
  assert.equal(sentenceOfChange(failed), "2 pictures made private: links to them have ended. 3 pictures could not be changed. No.");
  assert.equal(sentenceOfChange({ ...failed, changed: [] }), "3 pictures could not be changed. No.");
});
