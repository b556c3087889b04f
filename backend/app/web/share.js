/** The menu of what can be copied of images. */

import { copy, copyWhenMade } from "./clipboard.js";
import { isPrivate, makeLinks, TERMS } from "./links.js";

/** Format an image's link as Markdown. */
export const asMarkdown = ({ filename, url }) =>
  `![${filename.replace(/[\\`*_[\]<>&]/g, "\\$&")}](${url})`;

/** Format an image's link as HTML, in a document that is not shown and so loads nothing. */
function asHtml({ filename, url }) {
  const img = document.implementation.createHTMLDocument().createElement("img");
  img.setAttribute("src", url);
  img.alt = filename;
  return img.outerHTML;
}

const TEXTS = {
  Link: ({ url }) => url,
  Markdown: asMarkdown,
  HTML: asHtml,
  BBCode: ({ url }) => `[img]${url}[/img]`,
  "Thumbnail link": ({ thumbnails: all = {} }) => (all[300] ?? Object.values(all).at(-1))?.url,
  "Link that deletes it": ({ delete_url: url }) => url,
};

/** Copy links to images, some of which are private. */
function copyLinks(images, seconds) {
  const name = images.length > 1 ? `${images.length.toLocaleString()} links` : "Link";
  const making = makeLinks(images, seconds);
  copyWhenMade(making.then(({ text, until }) => ({ text, name: `${name} until ${until}` })));
}

/** Let a menu's button open it, for the image, or the images, that a function returns. */
export function startMenu(menu, imagesOf) {
  const [button, list] = menu.children;
  let items = [];

  function open(place) {
    const images = [imagesOf()].flat();
    const of = images.length > 1 ? ` of ${images.length.toLocaleString()} pictures` : "";
    items = images.some(isPrivate)
      ? Object.entries(TERMS).map(([name, seconds]) => makeItem(name, () => copyLinks(images, seconds)))
      : Object.entries(TEXTS).flatMap(([name, textOf]) => {
          const texts = images.map(textOf).filter(Boolean).join("\n");
          return texts ? [makeItem(name, () => copy(name + of, texts))] : [];
        });
    list.replaceChildren(...items);
    list.hidden = false;
    button.ariaExpanded = "true";
    items.at(place).focus();
  }

  function close() {
    if (menu.contains(document.activeElement)) button.focus();
    list.hidden = true;
    button.ariaExpanded = "false";
  }

  function makeItem(name, act) {
    const item = document.createElement("button");
    Object.assign(item, { role: "menuitem", tabIndex: -1, textContent: name });
    item.addEventListener("click", () => {
      close();
      act();
    });
    return item;
  }

  button.addEventListener("click", () => (list.hidden ? open(0) : close()));
  menu.addEventListener("keydown", (event) => {
    const isOpen = !list.hidden;
    const place = items.indexOf(document.activeElement);
    const places = isOpen
      ? { ArrowDown: (place + 1) % items.length, ArrowUp: place - 1, Home: 0, End: -1 }
      : { ArrowDown: 0, ArrowUp: -1 };
    if (isOpen && event.key === "Tab") return close(); // and on, from the button
    if (isOpen && event.key === "Escape") close();
    else if (!(event.key in places)) return;
    else if (isOpen) items.at(places[event.key]).focus();
    else open(places[event.key]);
    event.preventDefault(); // Escape would close the viewer, arrows step
  });
  (menu.closest("dialog") ?? document).addEventListener("pointerdown", (event) => {
    if (!menu.contains(event.target)) close();
  });
}
