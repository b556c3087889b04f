/** The arithmetic of selections: ranges of ids, in the order in which their images are shown. */

/** Return the ids from one to another, both included, in whichever order; none if one is unknown. */
export function idsBetween(ids, one, other) {
  const [first, last] = [ids.indexOf(one), ids.indexOf(other)].sort((a, b) => a - b);
  return first < 0 ? [] : ids.slice(first, last + 1);
}

/**
 * Return what is selected once a range extends to an id: what was before the range began, and the
 * range. So a range that is made shorter lets its end go, and nothing else.
 */
export const extendRange = (ids, before, anchor, end) =>
  new Set([...before, ...idsBetween(ids, anchor, end)]);
