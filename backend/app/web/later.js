/** The templates of what the first screen does without: whoever copies one imports this module. */

/* A request that answers with a document: Trusted Types let no text become HTML. */
const request = new XMLHttpRequest();
request.open("GET", new URL("later.html", import.meta.url));
request.responseType = "document";
await new Promise((resolve, reject) => {
  Object.assign(request, { onload: resolve, onerror: reject });
  request.send();
});
document.body.append(...request.response.querySelectorAll("template"));
