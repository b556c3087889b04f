/** What a drop or a paste brings: files, and the images in its folders, however deep. */

/** Read files and folders; count as skipped what is hidden, unreadable or no image in a folder. */
export async function readRoots(roots, types) {
  /** @type {{files: File[], hasFolder: boolean, skipped: number}} */
  const found = { files: [], hasFolder: false, skipped: 0 };
  for (const root of roots) {
    if (root instanceof File) {
      found.files.push(root);
    } else {
      found.hasFolder = true;
      await readFolder(root, types, found);
    }
  }
  return found;
}

/** Add what a folder holds, as far as it can be read. */
async function readFolder(folder, types, found) {
  const reader = folder.createReader();
  for (;;) {
    // Chromium returns at most 100 at a time, and an empty list at the end.
    const entries = await promised(reader, "readEntries");
    if (!entries) found.skipped += 1;
    if (!entries?.length) return;
    for (const entry of entries) {
      const isHidden = entry.name.startsWith(".");
      if (entry.isDirectory && !isHidden) {
        await readFolder(entry, types, found);
        continue;
      }
      const file = isHidden ? null : await promised(entry, "file");
      const isImage = file && (types.includes(file.type) || (await beginsLikeImage(file)));
      if (isImage) found.files.push(file);
      else found.skipped += 1;
    }
  }
}

/** What images begin with; AVIF and HEIC with the brand in their `ftyp` box. */
const BEGINNING = /^(\xff\xd8\xff|\x89PNG|GIF8|RIFF.{4}WEBP|.{4}ftyp(avi|he[iv]|mi[af]|msf|MiH))/s;

/** Return whether a file is an image, also if its name does not say so; false if unreadable. */
async function beginsLikeImage(file) {
  const head = await file.slice(0, 12).arrayBuffer().catch(() => new ArrayBuffer(0));
  return BEGINNING.test(String.fromCharCode(...new Uint8Array(head)));
}

/** Call a method that takes two callbacks; return a promise of its result, null if it fails. */
const promised = (object, method) =>
  new Promise((resolve) => object[method](resolve, () => resolve(null)));
