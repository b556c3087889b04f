/*!
 * The decoder of ThumbHash: a blurred image in some 25 bytes. After github.com/evanw/thumbhash:
 *
 * Copyright (c) 2023 Evan Wallace
 *
 * Permission is hereby granted, free of charge, to any person obtaining a copy of this software and
 * associated documentation files (the "Software"), to deal in the Software without restriction,
 * including without limitation the rights to use, copy, modify, merge, publish, distribute,
 * sublicense, and/or sell copies of the Software, and to permit persons to whom the Software is
 * furnished to do so, subject to the following conditions:
 *
 * The above copyright notice and this permission notice shall be included in all copies or
 * substantial portions of the Software.
 *
 * THE SOFTWARE IS PROVIDED "AS IS", WITHOUT WARRANTY OF ANY KIND, EXPRESS OR IMPLIED, INCLUDING BUT
 * NOT LIMITED TO THE WARRANTIES OF MERCHANTABILITY, FITNESS FOR A PARTICULAR PURPOSE AND
 * NONINFRINGEMENT. IN NO EVENT SHALL THE AUTHORS OR COPYRIGHT HOLDERS BE LIABLE FOR ANY CLAIM,
 * DAMAGES OR OTHER LIABILITY, WHETHER IN AN ACTION OF CONTRACT, TORT OR OTHERWISE, ARISING FROM, OUT
 * OF OR IN CONNECTION WITH THE SOFTWARE OR THE USE OR OTHER DEALINGS IN THE SOFTWARE.
 */

const LONGEST_SIDE = 32;

/** Decode a ThumbHash to an image whose width is `ratio` times its height. */
export function decodeThumbHash(hash, ratio) {
  const header = hash[0] | (hash[1] << 8) | (hash[2] << 16);
  const header2 = hash[3] | (hash[4] << 8);
  const hasAlpha = Boolean(header >> 23);
  const most = hasAlpha ? 5 : 7;
  const fewest = Math.max(3, header2 & 7);
  const [nx, ny] = header2 >> 15 ? [most, fewest] : [fewest, most];
  let nibble = hasAlpha ? 12 : 10; // four bits a term, after the constants

  /** Read the terms of a cosine transform: [x frequency, y frequency, factor]. */
  const readTerms = (mean, scale, nx, ny) => {
    const terms = [[0, 0, mean]];
    for (let cy = 0; cy < ny; cy += 1) {
      for (let cx = cy ? 0 : 1; cx * ny < nx * (ny - cy); cx += 1) {
        const bits = (hash[nibble >> 1] >> (4 * (nibble & 1))) & 15;
        terms.push([cx, cy, 2 * scale * (bits / 7.5 - 1)]);
        nibble += 1;
      }
    }
    return terms;
  };
  const six = (bits) => bits & 63;
  const l = readTerms(six(header) / 63, ((header >> 18) & 31) / 31, nx, ny);
  const saturation = 1.25 / 63; // makes up for what quantization takes
  const p = readTerms(six(header >> 6) / 31.5 - 1, six(header2 >> 3) * saturation, 3, 3);
  const q = readTerms(six(header >> 12) / 31.5 - 1, six(header2 >> 9) * saturation, 3, 3);
  const a = hasAlpha ? readTerms((hash[5] & 15) / 15, (hash[5] >> 4) / 15, 5, 5) : [[0, 0, 1]];

  const width = Math.max(1, Math.round(LONGEST_SIDE * Math.min(ratio, 1)));
  const height = Math.max(1, Math.round(LONGEST_SIDE / Math.max(ratio, 1)));
  const pixels = new Uint8ClampedArray(4 * width * height);
  const columns = cosines(width);
  let i = 0;
  for (const fy of cosines(height)) {
    const rows = [l, p, q, a].map((terms) => sumRow(terms, fy));
    for (const fx of columns) {
      const [light, yellow, red, alpha] = rows.map((row) => dot(row, fx));
      const b = light - (2 / 3) * yellow;
      const r = (3 * light - b + red) / 2;
      for (const value of [r, r - red, b, alpha]) pixels[i++] = 255 * value;
    }
  }
  return new ImageData(pixels, width);
}

/** Return, for each pixel of a side, the cosines of every frequency. */
const cosines = (side) =>
  Array.from({ length: side }, (_, x) =>
    Array.from({ length: 7 }, (_, frequency) => Math.cos((Math.PI / side) * (x + 0.5) * frequency)),
  );

/** Return the factors of the x frequencies in a row of pixels. */
function sumRow(terms, fy) {
  const row = [0, 0, 0, 0, 0, 0, 0];
  for (const [cx, cy, factor] of terms) row[cx] += factor * fy[cy];
  return row;
}

function dot(row, fx) {
  let sum = 0;
  for (let cx = 0; cx < 7; cx += 1) sum += row[cx] * fx[cx];
  return sum;
}
