import assert from "node:assert/strict";
import { test } from "node:test";

import { formatSearch, isEverything, listQuery, parseSearch, tidySearch } from "../../app/web/search.js";

process.env.TZ = "Asia/Kolkata"; // UTC+5:30, without summer time

const WHOLE = { q: "cat & dog", type: "image/png", from: "2026-11-01", to: "2026-11-30" };

test("a search is the same after a way through the address", () => {
  const query = formatSearch(WHOLE);
  assert.equal(query, "?q=cat+%26+dog&type=image/png&from=2026-11-01&to=2026-11-30");
  assert.deepEqual(parseSearch(query), WHOLE);
});

test("names in every script survive the address", () => {
  for (const q of ["naïve café", "写真", "ภาพถ่าย", "фото", "צילום", "📷"]) {
    assert.deepEqual(parseSearch(formatSearch({ q })), { q });
  }
});

test("no search is no query", () => {
  assert.equal(formatSearch({}), "");
  assert.equal(formatSearch({ q: "  ", type: "" }), "");
  assert.ok(isEverything(parseSearch("")));
  assert.ok(!isEverything(parseSearch("?q=x")));
});

test("what makes no sense in an address is left out", () => {
  assert.deepEqual(parseSearch("?type=text/html&from=yesterday&to=2026-13-01&page=7"), {});
  assert.deepEqual(parseSearch("?from=0002-11-30&q=%20x%20"), { q: "x" });
});

test("a search has its parts in the same order however it was made", () => {
  const { q, type, from, to } = WHOLE;
  assert.equal(formatSearch({ to, from, type, q }), formatSearch(WHOLE));
  assert.deepEqual(Object.keys(tidySearch({ to, q })), ["q", "to"]);
});

test("days begin and end where the reader is", () => {
  assert.deepEqual(listQuery(WHOLE), {
    q: "cat & dog",
    type: "image/png",
    from: "2026-10-31T18:30:00.000Z",
    to: "2026-11-30T18:30:00.000Z",
  });
  assert.deepEqual(listQuery({ q: "x" }), { q: "x" });
});

test("a day is as long as it is where clocks change", () => {
  process.env.TZ = "Europe/Berlin";
  const { from, to } = listQuery({ from: "2026-10-25", to: "2026-10-25" });
  assert.equal((Date.parse(to) - Date.parse(from)) / 3_600_000, 25);
});
