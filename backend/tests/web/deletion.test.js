import assert from "node:assert/strict";
import { test } from "node:test";

import { deleteAll, PART, sentenceOfDeletion } from "../../app/web/deletion.js";

const ids = (count) => Array.from({ length: count }, (_, number) => `id-${number}`);

test("many images are deleted in parts that the service takes, and each part is reported", async () => {
  const [sizes, reports] = [[], []];
  const deletePart = async (part) => {
    sizes.push(part.length);
    return { deleted: part, failed: [] };
  };
  const outcome = await deleteAll(ids(250), deletePart, (gone, done) => reports.push([gone.length, done]));
  assert.deepEqual(sizes, [PART, PART, 50]);
  assert.deepEqual(reports, [[100, 100], [100, 200], [50, 250]]);
  assert.deepEqual(outcome, { gone: 250, failed: 0, error: null });
});

test("what somebody else has deleted is gone, and what the service kept is not", async () => {
  const failed = [{ id: "id-0", status: 404 }, { id: "id-2", status: 503 }];
  const removed = [];
  const deletePart = async () => ({ deleted: ["id-1"], failed });
  const outcome = await deleteAll(ids(3), deletePart, (gone) => removed.push(...gone));
  assert.deepEqual(removed, ["id-0", "id-1"]);
  assert.deepEqual(outcome, { gone: 2, failed: 1, error: null });
});

test("a lost connection ends the deletion, and what was not reached counts as failed", async () => {
  let calls = 0;
  const deletePart = async (part) => {
    if ((calls += 1) === 2) throw new Error("There is no connection to the service.");
    return { deleted: part, failed: [] };
  };
  const outcome = await deleteAll(ids(300), deletePart, () => {});
  assert.equal(calls, 2);
  assert.deepEqual([outcome.gone, outcome.failed], [100, 200]);
  assert.equal(
    sentenceOfDeletion(outcome),
    "100 pictures removed. 200 pictures could not be deleted and are still selected. There is no connection to the service.",
  );
});

test("what came of a deletion is said in words", () => {
  assert.equal(sentenceOfDeletion({ gone: 1, failed: 0, error: null }), "Picture removed");
  assert.equal(sentenceOfDeletion({ gone: 12, failed: 0, error: null }), "12 pictures removed");
  assert.equal(
    sentenceOfDeletion({ gone: 0, failed: 1, error: null }),
    "1 picture could not be deleted and is still selected. Try again; if that does not help, ask whoever runs the service.",
  );
});
