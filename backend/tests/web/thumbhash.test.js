import assert from "node:assert/strict";
import { test } from "node:test";

import { decodeThumbHash } from "../../app/web/thumbhash.js";

globalThis.ImageData ??= class {
  constructor(data, width) {
    Object.assign(this, { data, width, height: data.length / width / 4 });
  }
};

const bytes = (hex) => Uint8Array.from(Buffer.from(hex, "hex"));

/* What the reference (github.com/evanw/thumbhash, 0.1.1) makes of them, in the corners and between. */
const REFERENCE = [
  ["5e180a1d8c4055885478898698678887706a0b8867", 32, 23,
    [[9, 65, 39, 255], [177, 104, 70, 255], [143, 119, 130, 255], [46, 102, 84, 255], [163, 106, 96, 255]]],
  ["5e080a150e507552876997688887778890730d5b8a", 23, 32,
    [[18, 47, 35, 255], [171, 106, 98, 255], [122, 155, 145, 255], [89, 118, 79, 255], [255, 110, 128, 255]]],
  ["5f18860d040740473459b58969240c09943558717685960596", 32, 32,
    [[62, 95, 80, 119], [143, 121, 105, 119], [155, 121, 121, 119], [98, 125, 106, 119], [104, 104, 109, 119]]],
  ["59098611842770a6969878516f088e8907a667a6787877", 32, 6,
    [[106, 98, 65, 41], [165, 125, 65, 75], [116, 130, 77, 198], [82, 84, 77, 72], [169, 123, 113, 127]]],
];

for (const [hash, width, height, expected] of REFERENCE) {
  test(`a placeholder of ${width} × ${height} is that of the reference`, () => {
    const image = decodeThumbHash(bytes(hash), width / height);
    assert.deepEqual([image.width, image.height], [width, height]);
    const places = [[0, 0], [width - 1, 0], [width >> 1, height >> 1], [0, height - 1], [width - 1, height - 1]];
    for (const [i, [x, y]] of places.entries()) {
      const first = 4 * (y * width + x);
      const pixel = image.data.slice(first, first + 4);
      assert.ok(pixel.every((value, j) => Math.abs(value - expected[i][j]) <= 1), `${pixel}`);
    }
  });
}

test("a placeholder has the shape of the image, not the rough one of its hash", () => {
  const { width, height } = decodeThumbHash(bytes(REFERENCE[0][0]), 4 / 3);
  assert.deepEqual([width, height], [32, 24]);
});

test("a very long image has a placeholder of one row or column at least", () => {
  assert.equal(decodeThumbHash(bytes(REFERENCE[0][0]), 1000).height, 1);
  assert.equal(decodeThumbHash(bytes(REFERENCE[0][0]), 0.001).width, 1);
});
