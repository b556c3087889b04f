/** Links to private images, which expire. */

import { makeLink } from "./changes.js";
import { formatTime } from "./format.js";

/** Return whether only its owner, and who has such a link, sees an image. */
export const isPrivate = ({ is_public: isPublic = true }) => isPublic === false;

/** How long links work, in seconds. */
export const TERMS = {
  "Link for 1 hour": 3600,
  "Link for 1 day": 86_400,
  "Link for 7 days": 604_800,
  "Link for 30 days": 2_592_000,
};

/**
 * Return links to images, those to private ones for some seconds, and until when they work.
 * @returns {Promise<{text: string, until: string}>}
 */
export async function makeLinks(images, seconds) {
  const urls = [];
  let until = "";
  for (const image of images) {
    if (isPrivate(image)) {
      const link = await makeLink(image, seconds);
      until ||= formatTime(link.expires_at);
      urls.push(link.url);
    } else urls.push(image.url);
  }
  return { text: urls.join("\n"), until };
}
