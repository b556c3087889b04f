import assert from "node:assert/strict";
import { test } from "node:test";

import { factsOf, recordedFacts } from "../../app/web/facts.js";

const exposureOf = (metadata) => recordedFacts(metadata).Exposure;
const cameraOf = (camera_make, camera_model) => recordedFacts({ camera_make, camera_model }).Camera;

test("an image without dimensions has no such fact", () => {
  const image = { file_size: 1, created_at: "2026-11-24T12:00:00Z", content_type: "image/png" };
  assert.equal(factsOf({ ...image, width: 64, height: 48 }).Dimensions, "64 × 48 pixels");
  assert.ok(!factsOf({ ...image, width: null, height: null }).Dimensions);
});

test("a maker is named once", () => {
  assert.equal(cameraOf("FUJIFILM", "X-T5"), "FUJIFILM X-T5");
  assert.equal(cameraOf("Canon", "Canon EOS R6"), "Canon EOS R6");
  assert.equal(cameraOf("NIKON CORPORATION", "NIKON Z 6"), "NIKON Z 6");
  assert.equal(cameraOf("Apple", undefined), "Apple");
  assert.equal(cameraOf(undefined, "iPhone 15"), "iPhone 15");
  assert.ok(!cameraOf(undefined, undefined));
});

test("an exposure is written as photographers write it, as far as it is known", () => {
  const whole = { exposure_time: 0.004, f_number: 2.8, iso: 400, focal_length: 35 };
  assert.equal(exposureOf(whole), "1/250 s · f/2.8 · ISO 400 · 35 mm");
  assert.equal(exposureOf({ exposure_time: 2.5 }), "2.5 s");
  assert.equal(exposureOf({ exposure_time: 1 / 3 }), "1/3 s");
  assert.ok(!exposureOf({}));
});

test("the time when it was taken is the camera's, whatever its zone", () => {
  const taken = (taken_at) => recordedFacts({ taken_at }).Taken;
  assert.match(taken("2026-11-21T16:20:00"), /16:20|4:20/);
  assert.equal(taken("2026-11-21T16:20:00-08:00"), taken("2026-11-21T16:20:00"));
  assert.ok(!taken(undefined));
});
