import assert from "node:assert/strict";
import { test } from "node:test";

import { fileUrl, thumbnailUrl } from "../../app/web/api.js";

const IMAGE = { id: "7f1c", thumbnails: { 150: {}, 300: {}, 800: {} } };
const of = (size) => `api/v1/images/7f1c/thumbnails/${size}`;

test("the thumbnail is the largest of at most some pixels", () => {
  assert.equal(thumbnailUrl(IMAGE, 300), of(300));
  assert.equal(thumbnailUrl(IMAGE, 799), of(300));
  assert.equal(thumbnailUrl(IMAGE), of(800));
});

test("the thumbnail is the smallest where all are larger", () => {
  assert.equal(thumbnailUrl(IMAGE, 100), of(150));
});

test("without thumbnails there is no address of one", () => {
  assert.equal(thumbnailUrl({ id: "7f1c", thumbnails: {} }), undefined);
  assert.equal(thumbnailUrl({ id: "7f1c" }, 300), undefined);
});

test("a file's address is below the page's, whatever its public address", () => {
  assert.equal(fileUrl({ ...IMAGE, url: "https://elsewhere.example/x" }), "api/v1/images/7f1c/file");
});

test("addresses of private images are signed as the service has signed them", () => {
  const url = (path) => `https://elsewhere.example/x/${path}?expires=1&key=0&signature=a-_`;
  const image = { id: "7f1c", url: url("file"), thumbnails: { 300: { url: url("thumbnails/300") } } };
  assert.equal(fileUrl(image), "api/v1/images/7f1c/file?expires=1&key=0&signature=a-_");
  assert.equal(thumbnailUrl(image, 300), `${of(300)}?expires=1&key=0&signature=a-_`);
});
