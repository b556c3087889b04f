import assert from "node:assert/strict";
import { test } from "node:test";

import { formatBytes, formatType } from "../../app/web/format.js";

const withPoint = (text) => text.replace(",", ".");

test("a size is in the largest unit of which there is one", () => {
  assert.equal(formatBytes(0), "0 bytes");
  assert.equal(formatBytes(1023), `${(1023).toLocaleString()} bytes`);
  assert.equal(formatBytes(1024), "1 KiB");
  assert.equal(withPoint(formatBytes(1536)), "1.5 KiB");
  assert.equal(formatBytes(50 * 1024 ** 2), "50 MiB");
  assert.equal(withPoint(formatBytes(1.25 * 1024 ** 3)), "1.3 GiB");
  assert.equal(formatBytes(2048 * 1024 ** 3), `${(2048).toLocaleString()} GiB`);
});

test("a type is named as people write it", () => {
  const types = ["jpeg", "png", "gif", "webp", "avif", "heic"].map((type) => `image/${type}`);
  assert.deepEqual(types.map(formatType), ["JPEG", "PNG", "GIF", "WebP", "AVIF", "HEIC"]);
});
