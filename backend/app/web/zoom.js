/**
 * The arithmetic of zoom and swipe. A view has the image's scale (1 = 100 %) and where its middle
 * is, from that of the frame; a space, the sizes of image and frame. All in CSS pixels.
 */

const MAX_SCALE = 8;
/** Of the frame, how far a finger goes to step, and how far a millisecond is fast enough. */
const [FAR, FAST] = [0.3, 0.0015];

const clamp = (value, least, most) => Math.min(Math.max(value, least), most);

/** Return the scale at which an image fits, never enlarged. */
export const fitScale = ({ image, frame }) =>
  Math.min(1, frame.width / image.width, frame.height / image.height);

export const fitted = (space) => ({ scale: fitScale(space), x: 0, y: 0 });

export const isZoomed = ({ scale }, space) => scale > fitScale(space) * 1.001;

/** Return a view moved, as far as there is more to see. */
export function panned({ scale, x, y }, by, { image, frame }) {
  const within = (place, side) => {
    const room = Math.max(0, (image[side] * scale - frame[side]) / 2);
    return clamp(place, -room, room);
  };
  return { scale, x: within(x + by.x, "width"), y: within(y + by.y, "height") };
}

/** Return a view at another scale, in which what was at one point is at another. */
export function zoomed(view, wanted, from, space, to = from) {
  const scale = clamp(wanted, fitScale(space), MAX_SCALE);
  const moved = (axis) => to[axis] - ((from[axis] - view[axis]) * scale) / view.scale;
  return panned({ scale, x: moved("x"), y: moved("y") }, { x: 0, y: 0 }, space);
}

/** Return the view that two fingers make by going from two points to two others. */
export function pinched(view, [a, b], [c, d], space) {
  const distance = (p, q) => Math.hypot(p.x - q.x, p.y - q.y) || 1;
  const middle = (p, q) => ({ x: (p.x + q.x) / 2, y: (p.y + q.y) / 2 });
  const scale = (view.scale * distance(c, d)) / distance(a, b);
  return zoomed(view, scale, middle(a, b), space, middle(c, d));
}

/** Return the scale after a double click: 100 %, or as before; a finger comes three times nearer. */
export function toggledScale(view, space, isFinger) {
  const fit = fitScale(space);
  if (isZoomed(view, space)) return fit;
  if (fit === 1) return 2;
  return isFinger ? Math.min(1, 3 * fit) : 1;
}

/** Return what a finger's way asks for: the next image (1), the one before (-1), "close" or 0. */
export function swiped({ x, y }, milliseconds, { width, height }) {
  const isFar = (part) => part > FAR || part / milliseconds > FAST;
  if (Math.abs(x) > Math.abs(y)) return isFar(Math.abs(x) / width) ? -Math.sign(x) : 0;
  return isFar(y / height) ? "close" : 0;
}
