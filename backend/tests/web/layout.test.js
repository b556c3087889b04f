import assert from "node:assert/strict";
import { test } from "node:test";

import { imageBeside } from "../../app/web/beside.js";
import { gapOf, layOut, ratioOf, rowHeight, rowsBetween } from "../../app/web/layout.js";

process.env.TZ = "Asia/Kolkata"; // UTC+5:30, without summer time

const SHAPES = [[3, 2], [4, 3], [2, 3], [16, 9], [1, 1], [40, 1], [1, 40], [null, null]];
const HEADING = 48;

/** Make images, so many a day, newest first. */
const album = (count, daily = count) =>
  Array.from({ length: count }, (_, place) => {
    const [width, height] = SHAPES[(place * 7) % SHAPES.length];
    const time = Date.UTC(2026, 10, 30) - Math.floor(place / daily) * 86_400_000;
    return { id: String(place), created_at: new Date(time).toISOString(), width, height };
  });

const [PHONE, LAPTOP, WALL] = [343, 1360, 2480];

for (const width of [PHONE, LAPTOP, WALL]) {
  test(`rows of ${width} pixels are full, of about one height, and each image is in one`, () => {
    const images = album(500);
    const { rows } = layOut(images, width, HEADING);
    const placed = rows.flatMap(({ tiles }) => tiles.map(({ image }) => image));
    assert.deepEqual(placed, images);
    for (const { tiles, height } of rows.slice(0, -1)) {
      assert.equal(tiles.at(-1).left + tiles.at(-1).width, width);
      assert.ok(height > rowHeight(width) * 0.55, `${height} is low`);
      assert.ok(height < rowHeight(width) * 1.7, `${height} is high`);
    }
  });

  test(`tiles in rows of ${width} pixels keep the image's shape, with equal gaps`, () => {
    for (const { tiles, height } of layOut(album(500), width, HEADING).rows) {
      for (const [place, { image, left, width: wide }] of tiles.entries()) {
        assert.ok(Math.abs(wide - ratioOf(image) * height) <= 3);
        const before = tiles[place - 1];
        if (before) assert.ok(Math.abs(left - before.left - before.width - gapOf(width)) <= 1);
      }
    }
  });
}

test("rows and days follow one another without a gap or an overlap", () => {
  const { rows, days, height } = layOut(album(300, 17), LAPTOP, HEADING);
  let end = 0;
  for (const day of days) {
    assert.equal(day.top, end);
    end += HEADING;
    for (const row of rows.filter((row) => row.day === day)) {
      assert.equal(row.top, end);
      end += row.height + gapOf(LAPTOP);
    }
    assert.equal(day.top + day.height, end);
  }
  assert.equal(height, end);
});

test("a day begins at midnight where the reader is", () => {
  const at = (created_at, id) => ({ id, created_at, width: 3, height: 2 });
  const images = [at("2026-11-29T18:30:00Z", "after"), at("2026-11-29T18:29:59.999999Z", "before")];
  assert.deepEqual(layOut(images, LAPTOP, HEADING).days.map(({ key }) => key), [20261130, 20261129]);
});

test("a last row is not stretched, unless it is nearly full", () => {
  const square = (id) => ({ id: String(id), created_at: "2026-11-30T00:00:00Z", width: 1, height: 1 });
  const [row] = layOut([square(0), square(1)], LAPTOP, HEADING).rows;
  assert.deepEqual([row.height, row.tiles[0].width], [rowHeight(LAPTOP), rowHeight(LAPTOP)]);
  const nearly = layOut([0, 1, 2, 3, 4, 5].map(square), LAPTOP, HEADING).rows;
  assert.equal(nearly.length, 1);
  assert.equal(nearly[0].tiles.at(-1).left + nearly[0].tiles.at(-1).width, LAPTOP);
});

test("a last row that more images would change is left out while more may follow", () => {
  const images = album(100);
  for (let loaded = 20; loaded < 100; loaded += 1) {
    const early = layOut(images.slice(0, loaded), LAPTOP, HEADING, true).rows;
    assert.ok(early.length > 1);
    for (const [place, { tiles, height }] of layOut(images, LAPTOP, HEADING).rows.entries()) {
      if (place >= early.length) break;
      assert.deepEqual([early[place].tiles, early[place].height], [tiles, height]);
    }
  }
});

test("panoramas and towers are cut, and what has no known sides is a square", () => {
  assert.equal(ratioOf({ width: 10_000, height: 100 }), 3);
  assert.equal(ratioOf({ width: 100, height: 10_000 }), 0.5);
  assert.equal(ratioOf({ width: null, height: null }), 1);
});

test("no images take no room", () => {
  const { rows, days, height } = layOut([], LAPTOP, HEADING);
  assert.deepEqual([rows, days, height], [[], [], 0]);
});

test("the rows between two heights are those that they touch", () => {
  const layout = layOut(album(300, 17), LAPTOP, HEADING);
  for (const [top, bottom] of [[-900, 0], [0, 1], [700, 1500], [0, Infinity], [layout.height, Infinity]]) {
    const [first, last] = rowsBetween(layout, top, bottom);
    const touched = layout.rows.filter((row) => row.top < bottom && row.top + row.height > top);
    assert.deepEqual(layout.rows.slice(first, last + 1), touched);
  }
});

test("up and down lead to the nearest image of the next row, in the next day too", () => {
  const layout = layOut(album(60, 9), LAPTOP, HEADING);
  for (const [place, { tiles }] of layout.rows.entries()) {
    for (const { image, left, width } of tiles) {
      const below = imageBeside(layout, image, 1);
      const next = layout.rows[place + 1]?.tiles ?? [];
      const distances = next.map((tile) => Math.abs(tile.left + tile.width / 2 - left - width / 2));
      assert.equal(below, next[distances.indexOf(Math.min(...distances))]?.image);
    }
  }
  assert.equal(imageBeside(layout, layout.rows[0].tiles[0].image, -1), undefined);
});

