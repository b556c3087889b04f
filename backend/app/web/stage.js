/** The stage: a frame in which an image is zoomed, moved and swiped away. */

import { fitted, isZoomed, panned, pinched, swiped, toggledScale, zoomed } from "./zoom.js";

const CENTRE = { x: 0, y: 0 };
const TREMBLE_PIXELS = 10;
const DOUBLE_TAP_MS = 350;

/** Make a stage; onSwipe(1, -1 or "close") returns whether it is followed, onScale is for display. */
export function makeStage(frame, onSwipe, onScale) {
  const box = frame.querySelector(".image");
  const space = { image: { width: 1, height: 1 }, frame: { width: 1, height: 1 } };
  let view = fitted(space);
  /** Where fingers, or the mouse, are, by their ids; and how the gesture began. */
  const fingers = new Map();
  let start = null;
  let lastTap = { time: 0, point: CENTRE };

  function measure() {
    const { paddingLeft, paddingTop } = getComputedStyle(frame);
    space.frame.width = Math.max(1, frame.clientWidth - 2 * parseFloat(paddingLeft));
    space.frame.height = Math.max(1, frame.clientHeight - 2 * parseFloat(paddingTop));
  }

  /** Draw the image, so far from its place. */
  function draw(way = CENTRE) {
    const [width, height] = ["width", "height"].map((side) => space.image[side] * view.scale);
    const left = Math.round((space.frame.width - width) / 2 + view.x + way.x);
    const top = Math.round((space.frame.height - height) / 2 + view.y + way.y);
    Object.assign(box.style, { width: `${width}px`, height: `${height}px` });
    box.style.translate = `${left}px ${top}px`;
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
  const zoom = (scale, point = CENTRE) => look(zoomed(view, scale, point, space));

  function slideFrom({ x, y }) {
    if (matchMedia("(prefers-reduced-motion: reduce)").matches) return;
    const transform = [`translate(${x}px, ${y}px)`, "none"];
    box.animate({ transform }, { duration: 180, easing: "ease-out" });
  }

  const pointOf = ({ clientX, clientY }) => {
    const { left, top, width, height } = frame.getBoundingClientRect();
    return { x: clientX - left - width / 2, y: clientY - top - height / 2 };
  };

  function begin({ timeStamp, pointerType }) {
    const isFinger = pointerType !== "mouse";
    start = { view, points: [...fingers.values()], time: timeStamp, isFinger };
  }

  /** Return how far the gesture has gone; of a fitted image, sideways or down only. */
  function wayTo({ x, y }) {
    const way = { x: x - start.points[0].x, y: y - start.points[0].y };
    if (isZoomed(view, space)) return way;
    return Math.abs(way.x) > Math.abs(way.y) ? { x: way.x, y: 0 } : { x: 0, y: Math.max(0, way.y) };
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
    const points = [...fingers.values()];
    if (points.length === 2) look(pinched(start.view, start.points, points, space));
    else if (isZoomed(view, space)) look(panned(start.view, wayTo(points[0]), space));
    else if (start.isFinger) draw(wayTo(points[0]));
  }

  async function release(event) {
    if (!fingers.delete(event.pointerId)) return;
    const { points, time, isFinger } = start;
    if (fingers.size) return begin(event); // the other finger goes on
    if (points.length > 1 || event.type === "pointercancel") return draw();
    const point = pointOf(event);
    const way = wayTo(point);
    if (Math.hypot(point.x - points[0].x, point.y - points[0].y) < TREMBLE_PIXELS) tap(event, point);
    else if (isFinger && !isZoomed(view, space)) {
      const outcome = swiped(way, event.timeStamp - time, space.frame);
      const isFollowed = outcome && (await onSwipe(outcome));
      draw();
      slideFrom(isFollowed ? { x: way.x + outcome * frame.clientWidth, y: 0 } : way);
    }
  }

  function tap({ timeStamp }, point) {
    const distance = Math.hypot(point.x - lastTap.point.x, point.y - lastTap.point.y);
    const isSecond = timeStamp - lastTap.time < DOUBLE_TAP_MS && distance < 3 * TREMBLE_PIXELS;
    lastTap = { time: isSecond ? 0 : timeStamp, point };
    if (isSecond) zoom(toggledScale(view, space, start.isFinger), point);
    else draw();
  }

  function turn(event) {
    event.preventDefault();
    const pixels = event.deltaY * (event.deltaMode ? 16 : 1); // else lines
    zoom(view.scale * Math.exp(-pixels * (event.ctrlKey ? 0.01 : 0.002)), pointOf(event)); // Ctrl: pinch
  }

  frame.addEventListener("pointerdown", press);
  frame.addEventListener("pointermove", move);
  frame.addEventListener("pointerup", release);
  frame.addEventListener("pointercancel", release);
  frame.addEventListener("wheel", turn, { passive: false });
  frame.addEventListener("dragstart", (event) => event.preventDefault());
  new ResizeObserver(() => {
    const wasZoomed = isZoomed(view, space);
    measure();
    look(wasZoomed ? panned(view, CENTRE, space) : fitted(space));
  }).observe(frame);

  return {
    /** Show an image of some size, fitted; of unknown size, over all the frame. */
    show({ width, height }) {
      measure();
      space.image = width && height ? { width, height } : { ...space.frame };
      look(fitted(space));
    },
    /** Multiply the scale; set it (0: to fit); switch between 100 % and fit. */
    zoomBy: (factor) => zoom(view.scale * factor),
    zoomTo: (scale) => zoom(scale),
    toggle: () => zoom(toggledScale(view, space, false)),
    /** Move, if zoomed; return whether there was room to. */
    pan: (x, y) => look(panned(view, { x, y }, space)),
  };
}
