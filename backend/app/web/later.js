/** Templates and dialogs that the first screen does without: whoever copies one imports this. */

import { loadStyle } from "./dom.js";

/* A request that answers with a document: Trusted Types let no text become HTML. */
const request = new XMLHttpRequest();
request.open("GET", new URL("later.html", import.meta.url));
request.responseType = "document";
const answer = new Promise((resolve, reject) => {
  Object.assign(request, { onload: () => (request.status === 200 ? resolve : reject)(), onerror: reject });
  request.send();
});
await Promise.all([answer, loadStyle("later.css")]);
document.body.append(...request.response.querySelectorAll("template"));
