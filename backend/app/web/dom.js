/** Elements of the page, copies of its templates, and dialogs made from them. */

/** Return the element with an id. @returns {HTMLElement} */
export const element = (id) => /** @type {any} */ (document.getElementById(id));

/** Return a copy of what a template holds. @returns {any} */
export const copyTemplate = (id) =>
  document.querySelector(`#${id}`).content.firstElementChild.cloneNode(true);

/** Open a dialog made from a template; closing removes it. */
export function openDialog(id) {
  const dialog = copyTemplate(id);
  document.body.append(dialog);
  dialog.querySelector(".cancel")?.addEventListener("click", () => dialog.close());
  dialog.addEventListener("close", () => dialog.remove());
  dialog.showModal();
  return dialog;
}

/** Return, once a dialog is closed, whether its main button closed it. */
export const whenClosed = (dialog) =>
  new Promise((resolve) => {
    dialog.addEventListener("close", () => resolve(dialog.returnValue === "done"));
  });

/** Load a stylesheet of the page that its first screen does without; settled when it is there. */
export const loadStyle = (name) =>
  new Promise((resolve) => {
    const link = Object.assign(document.createElement("link"), {
      rel: "stylesheet",
      href: new URL(name, import.meta.url),
      onload: resolve,
      onerror: resolve,
    });
    document.head.append(link);
  });
