/** The deletion of many images: in parts that the service takes, and what came of it, in words. */

/** Images in a request, at most. */
export const PART = 100;

const count = (number) =>
  number === 1 ? "1 picture" : `${number.toLocaleString()} pictures`;

/**
 * Delete images part by part, until one fails.
 * @param {string[]} ids
 * @param {(ids: string[]) => Promise<{deleted: string[], failed: {id: string, status: number}[]}>} deletePart
 * @param {(gone: string[], done: number) => void} onPart  Which are gone, and how many were tried.
 * @returns {Promise<{gone: number, failed: number, error: ?Error}>}
 */
export async function deleteAll(ids, deletePart, onPart) {
  let [gone, failed] = [0, 0];
  for (let start = 0; start < ids.length; start += PART) {
    const part = ids.slice(start, start + PART);
    const answer = await deletePart(part).catch((error) => error);
    if (answer instanceof Error) return { gone, failed: ids.length - gone, error: answer };
    const kept = answer.failed.filter(({ status }) => status !== 404).map(({ id }) => id);
    const removed = part.filter((id) => !kept.includes(id)); // by others, too
    gone += removed.length;
    failed += kept.length;
    onPart(removed, start + part.length);
  }
  return { gone, failed, error: null };
}

/** Return what came of a deletion, and what to do where it failed. */
export function sentenceOfDeletion({ gone, failed, error }) {
  const removed = gone === 1 ? "Picture removed" : `${count(gone)} removed`;
  if (!failed) return removed;
  const still = `${count(failed)} could not be deleted and ${failed === 1 ? "is" : "are"} still selected.`;
  const next = error?.message ?? "Try again; if that does not help, ask whoever runs the service.";
  return `${gone ? `${removed}. ` : ""}${still} ${next}`;
}
