import assert from "node:assert/strict";
import { test } from "node:test";

import { asMarkdown } from "../../app/web/share.js";

test("a file name ends no link in Markdown, and begins no element", () => {
  const url = "https://images.example/1";
  const filename = "a](x)_*`<b>&[.png";
  assert.equal(asMarkdown({ filename, url }), `![a\\](x)\\_\\*\\\`\\<b\\>\\&\\[.png](${url})`);
});
