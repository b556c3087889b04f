/**
 * The arithmetic of zoom and swipe, in CSS pixels. A view is the image's scale (1 = 100 %) and how
 * far its middle is from the frame's; a space, the sizes of image and frame.
 */

const MAX_SCALE = 8;

const clamp = (value, least, most) => Math.min(Math.max(value, least), most);

/** Return the scale at which an image fits, never enlarged. */
const fitScale = ({ image, frame }) =>
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

export const distance = (a, b) => Math.hypot(a.x - b.x, a.y - b.y);

/** Return the view that two fingers make by going from two points to two others. */
export function pinched(view, [a, b], [c, d], space) {
  const middle = (p, q) => ({ x: (p.x + q.x) / 2, y: (p.y + q.y) / 2 });
  const scale = (view.scale * distance(c, d)) / (distance(a, b) || 1);
  return zoomed(view, scale, middle(a, b), space, middle(c, d));
}

/** Return the scale after a double click: 100 %, or as before; a finger comes three times nearer. */
export function toggledScale(view, space, isFinger) {
  const fit = fitScale(space);
  if (isZoomed(view, space)) return fit;
  return fit === 1 ? 2 : isFinger ? Math.min(1, 3 * fit) : 1;
}

/** Return what a far or fast swipe asks for: the next image (1), the one before (-1), "close", 0. */
export function swiped({ x, y }, milliseconds, { width, height }) {
  const counts = (part) => part > 0.3 || part / milliseconds > 0.0015;
  if (Math.abs(x) > Math.abs(y)) return counts(Math.abs(x) / width) ? -Math.sign(x) : 0;
  return counts(y / height) ? "close" : 0;
}
