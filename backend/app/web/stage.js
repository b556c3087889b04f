/** The stage: a frame in which an image is zoomed, moved and swiped away. */

import { distance, fitted, isZoomed, panned, pinched, swiped, toggledScale, zoomed } from "./zoom.js";

const CENTRE = { x: 0, y: 0 };
const TREMBLE_PIXELS = 10;
const DOUBLE_TAP_MS = 350;

/** Make a stage. onSwipe(1, -1 or "close") returns whether it is followed. */
export function makeStage(frame, onSwipe, onScale) {
  const box = frame.querySelector(".image");
  const space = { image: { width: 1, height: 1 }, frame: { width: 1, height: 1 } };
  let view = fitted(space);
  /** Where fingers, or the mouse, are by their ids. */
  const fingers = new Map();
  /** @type {any} How their gesture began. */
  let start = null;
  let lastTap = { time: 0, ...CENTRE };

  function measure() {
    const { paddingLeft, paddingTop } = getComputedStyle(frame);
    const [width, height] = [frame.clientWidth, frame.clientHeight];
    space.frame.width = Math.max(1, width - 2 * parseFloat(paddingLeft));
    space.frame.height = Math.max(1, height - 2 * parseFloat(paddingTop));
  }

  /** Draw the image, so far from its place. */
  function draw(way = CENTRE) {
    const [width, height] = [space.image.width * view.scale, space.image.height * view.scale];
    const left = Math.round((space.frame.width - width) / 2 + view.x + way.x);
    const top = Math.round((space.frame.height - height) / 2 + view.y + way.y);
    const place = { width: `${width}px`, height: `${height}px`, translate: `${left}px ${top}px` };
    Object.assign(box.style, place);
    frame.classList.toggle("zoomed", isZoomed(view, space));
    onScale(view.scale);
  }

  /** Change the view; return whether that moves anything. */
  function look(wanted) {
    const isMoved = wanted.x !== view.x || wanted.y !== view.y;
    view = wanted;
    draw();
    return isMoved;
  }

  const zoomTo = (scale, point = CENTRE) => look(zoomed(view, scale, point, space));
  const toggle = (point, isFinger) => zoomTo(toggledScale(view, space, isFinger), point);

  function slideFrom({ x, y }) {
    if (matchMedia("(prefers-reduced-motion: reduce)").matches) return;
    const transform = [`translate(${x}px, ${y}px)`, "none"];
    box.animate({ transform }, { duration: 180, easing: "ease-out" });
  }

  const pointOf = ({ clientX, clientY }) => {
    const { left, top, width, height } = frame.getBoundingClientRect();
    return { x: clientX - left - width / 2, y: clientY - top - height / 2 };
  };

  const begin = ({ timeStamp, pointerType }) =>
    (start = { view, points: [...fingers.values()], timeStamp, isFinger: pointerType !== "mouse" });

  /** Return how far the gesture has gone; of a fitted image, sideways or down only. */
  function wayTo(point) {
    const [x, y] = [point.x - start.points[0].x, point.y - start.points[0].y];
    if (isZoomed(view, space)) return { x, y };
    return Math.abs(x) > Math.abs(y) ? { x, y: 0 } : { x: 0, y: Math.max(0, y) };
  }

  function press(event) {
    if (event.button || fingers.size === 2) return;
    frame.setPointerCapture(event.pointerId);
    fingers.set(event.pointerId, pointOf(event));
    begin(event);
  }

  function move(event) {
    if (!fingers.has(event.pointerId)) return;
    fingers.set(event.pointerId, pointOf(event));
    const [first, second] = fingers.values();
    if (second) look(pinched(start.view, start.points, [first, second], space));
    else if (isZoomed(view, space)) look(panned(start.view, wayTo(first), space));
    else if (start.isFinger) draw(wayTo(first));
  }

  async function release(event) {
    if (!fingers.delete(event.pointerId)) return;
    const { points, timeStamp, isFinger } = start;
    if (fingers.size) return begin(event); // the other finger goes on
    if (points[1] || event.type === "pointercancel") return draw();
    const point = pointOf(event);
    if (distance(point, points[0]) < TREMBLE_PIXELS) return tap(event.timeStamp, point);
    if (!isFinger || isZoomed(view, space)) return;
    const way = wayTo(point);
    const wish = swiped(way, event.timeStamp - timeStamp, space.frame);
    const isFollowed = wish && (await onSwipe(wish));
    draw();
    slideFrom(isFollowed ? { x: way.x + Number(wish) * frame.clientWidth, y: 0 } : way);
  }

  function tap(time, point) {
    const isNear = distance(point, lastTap) < 3 * TREMBLE_PIXELS;
    const isSecond = isNear && time - lastTap.time < DOUBLE_TAP_MS;
    lastTap = { time: isSecond ? 0 : time, ...point };
    if (isSecond) toggle(point, start.isFinger);
    else draw();
  }

  function turn(event) {
    event.preventDefault();
    const pixels = event.deltaY * (event.deltaMode ? 16 : 1); // else lines
    const speed = event.ctrlKey ? 0.01 : 0.002; // Ctrl: a pinch on a touchpad
    zoomTo(view.scale * Math.exp(-pixels * speed), pointOf(event));
  }

  const actions = {
    pointerdown: press,
    pointermove: move,
    pointerup: release,
    pointercancel: release,
    wheel: turn,
    dragstart: (event) => event.preventDefault(),
  };
  for (const [type, act] of Object.entries(actions)) frame.addEventListener(type, act);
  new ResizeObserver(() => {
    const wasZoomed = isZoomed(view, space);
    measure();
    look(wasZoomed ? zoomed(view, view.scale, CENTRE, space) : fitted(space));
  }).observe(frame);

  return {
    /** Show an image of some size, fitted; of unknown size, over all the frame. */
    show(width, height) {
      measure();
      space.image = width && height ? { width, height } : { ...space.frame };
      look(fitted(space));
    },
    zoomBy: (factor) => zoomTo(view.scale * factor),
    zoomTo,
    toggle: () => toggle(),
    pan: (x, y) => look(panned(view, { x, y }, space)),
  };
}
