/** Which image is above or below another one in the grid. */

/**
 * Return the image above (-1) or below (1) another one, the one whose middle is nearest.
 * @param {import("./layout.js").Layout} layout
 */
export function imageBeside({ rows, rowOf }, { id }, direction) {
  const place = rowOf.get(id) ?? NaN;
  const own = rows[place]?.tiles.find(({ image }) => image.id === id);
  const next = rows[place + direction];
  if (!own || !next) return undefined;
  const middle = ({ left, width }) => left + width / 2;
  const distance = (tile) => Math.abs(middle(tile) - middle(own));
  return next.tiles.reduce((a, b) => (distance(b) < distance(a) ? b : a)).image;
}
