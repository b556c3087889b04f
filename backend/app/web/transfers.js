/** Drops and pastes, anywhere on the page. */

/** Call a function with the files and folders of each; the class `dropping` marks a drag. */
export function acceptTransfers(bring) {
  let isOwn = false; // a tile that is dragged looks like a file
  const mark = (isDropping) => document.documentElement.classList.toggle("dropping", isDropping);
  const accepts = (event) => {
    const isFile = !isOwn && event.dataTransfer.types.includes("Files");
    if (isFile) event.preventDefault();
    return isFile;
  };
  const read = (transfer) => {
    const roots = rootsOf(transfer);
    if (roots.length) bring(roots);
  };
  addEventListener("dragstart", () => (isOwn = true));
  addEventListener("dragend", () => (isOwn = false));
  addEventListener("dragover", (event) => accepts(event) && mark(true));
  addEventListener("dragleave", (event) => event.relatedTarget ?? mark(false));
  addEventListener("drop", (event) => {
    mark(false);
    if (accepts(event)) read(event.dataTransfer);
  });
  addEventListener("paste", (event) => read(event.clipboardData));
}

/** Return the files and folders of a transfer, which browsers empty after its event. */
const rootsOf = ({ items }) =>
  [...items]
    .filter(({ kind }) => kind === "file")
    .map((item) => {
      const entry = item.webkitGetAsEntry();
      return entry?.isDirectory ? entry : item.getAsFile();
    })
    .filter(Boolean);
