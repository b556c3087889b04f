/** What a drop or a paste brings: files, and the pictures that lie in folders, however deep. */

/**
 * @typedef {object} Brought
 * @property {File[]} files
 * @property {boolean} hasFolder
 * @property {number} passedOver  How many things in folders are hidden, unreadable or no pictures.
 */

/**
 * Read a transfer to its end; called while its event lasts, for afterwards browsers empty it.
 *
 * @param {DataTransfer} transfer
 * @param {string[]} types  The media types of pictures to take from folders; browsers tell them by
 *   the name, so a file of another type is taken if it begins like a picture.
 * @returns {Promise<Brought>}
 */
export async function readTransfer(transfer, types) {
  const items = [...transfer.items].filter(({ kind }) => kind === "file");
  const roots = items.map((item) => {
    const entry = item.webkitGetAsEntry();
    return entry?.isDirectory ? entry : item.getAsFile();
  });
  const brought = { files: [], hasFolder: false, passedOver: 0 };
  for (const root of roots) {
    if (root instanceof File) {
      brought.files.push(root);
    } else if (root) {
      brought.hasFolder = true;
      await readFolder(root, types, brought);
    }
  }
  return brought;
}

/** Add what a folder holds, as far as it can be read. */
async function readFolder(folder, types, brought) {
  const reader = folder.createReader();
  for (;;) {
    // Chromium gives at most 100 at a time, and an empty list at the end.
    const entries = await promised((...ends) => reader.readEntries(...ends));
    if (!entries) brought.passedOver += 1;
    if (!entries?.length) return;
    for (const entry of entries) {
      if (entry.isDirectory && !isHidden(entry)) {
        await readFolder(entry, types, brought);
        continue;
      }
      const file = isHidden(entry) ? null : await promised((...ends) => entry.file(...ends));
      const isPicture = file && (types.includes(file.type) || (await beginsLikePicture(file)));
      if (isPicture) brought.files.push(file);
      else brought.passedOver += 1;
    }
  }
}

/** Whether a file begins as a JPEG or a PNG does; false if it cannot be read. */
async function beginsLikePicture(file) {
  const head = await file.slice(0, 3).arrayBuffer().catch(() => new ArrayBuffer(0));
  return ["255,216,255", "137,80,78"].includes(String(new Uint8Array(head)));
}

const isHidden = ({ name }) => name.startsWith(".");

/** Turn a call that takes two callbacks into a promise; of a failure it gives null. */
const promised = (begin) => new Promise((resolve) => begin(resolve, () => resolve(null)));
