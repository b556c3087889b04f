import assert from "node:assert/strict";
import { test } from "node:test";

import { fitted, isZoomed, panned, pinched } from "../../app/web/zoom.js";
import { swiped, toggledScale, zoomed } from "../../app/web/zoom.js";

const frame = { width: 1000, height: 800 };
const photo = { image: { width: 4000, height: 2000 }, frame };
const icon = { image: { width: 64, height: 48 }, frame };
const CENTRE = { x: 0, y: 0 };

/** Return what is at a point of the frame, in pixels from the middle of the image. */
const seenAt = (view, { x, y }) => ({ x: (x - view.x) / view.scale, y: (y - view.y) / view.scale });

test("an image fits into its frame and is never enlarged for that", () => {
  assert.deepEqual(fitted(photo), { scale: 0.25, x: 0, y: 0 });
  assert.equal(fitted({ image: { width: 1000, height: 8000 }, frame }).scale, 0.1);
  assert.equal(fitted(icon).scale, 1);
});

test("zooming keeps what is at the point, as far as the image's edges let it", () => {
  const point = { x: 120, y: -80 };
  const view = zoomed(fitted(photo), 1, point, photo);
  assert.deepEqual(seenAt(view, point), seenAt(fitted(photo), point));
  const back = zoomed(view, 0.3, point, photo);
  assert.equal(back.y, 0, "what is not as high as the frame stays in its middle");
});

test("zoom ends at the fit and at eight times the image", () => {
  assert.equal(zoomed(fitted(photo), 0, CENTRE, photo).scale, 0.25);
  assert.equal(zoomed(fitted(photo), 100, CENTRE, photo).scale, 8);
  assert.ok(!isZoomed(zoomed(fitted(photo), 0, CENTRE, photo), photo));
  assert.ok(isZoomed(zoomed(fitted(photo), 0.26, CENTRE, photo), photo));
});

test("an image is moved to its edges and not beyond", () => {
  const view = { scale: 1, x: 0, y: 0 };
  assert.deepEqual(panned(view, { x: 10, y: -20 }, photo), { scale: 1, x: 10, y: -20 });
  assert.deepEqual(panned(view, { x: 9999, y: -9999 }, photo), { scale: 1, x: 1500, y: -600 });
  assert.deepEqual(panned(fitted(photo), { x: 9, y: 9 }, photo), fitted(photo));
});

test("two fingers keep what is between them, and move it with them", () => {
  const [a, b] = [{ x: -50, y: 0 }, { x: 50, y: 0 }];
  const [c, d] = [{ x: -80, y: 30 }, { x: 120, y: 30 }];
  const view = pinched({ scale: 0.5, x: 0, y: 0 }, [a, b], [c, d], photo);
  assert.equal(view.scale, 1);
  assert.deepEqual(seenAt(view, { x: 20, y: 30 }), CENTRE);
});

test("a double click leads to 100 % and back, a double tap three times nearer", () => {
  assert.equal(toggledScale(fitted(photo), photo, false), 1);
  assert.equal(toggledScale(fitted(photo), photo, true), 0.75);
  assert.equal(toggledScale({ scale: 1, x: 5, y: 5 }, photo, false), 0.25);
  assert.equal(toggledScale(fitted(icon), icon, false), 2);
});

test("a far or a quick swipe asks for something, a short slow one for nothing", () => {
  assert.equal(swiped({ x: -400, y: 50 }, 2000, frame), 1);
  assert.equal(swiped({ x: 400, y: 50 }, 2000, frame), -1);
  assert.equal(swiped({ x: -200, y: 50 }, 100, frame), 1);
  assert.equal(swiped({ x: -200, y: 50 }, 2000, frame), 0);
  assert.equal(swiped({ x: 50, y: 400 }, 2000, frame), "close");
  assert.equal(swiped({ x: 50, y: -400 }, 100, frame), 0, "upwards leads nowhere");
});
