/** The calls of the API that change images. Each throws an ApiError if it fails. */

import { call, IMAGES } from "./api.js";

/** Change an image, as its name; return it. @returns {Promise<ApiImage>} */
export const changeImage = (id, changes) => call("PATCH", `${IMAGES}/${id}`, changes);

/** Delete an image: by the token that its upload was answered with, if that is known. */
export const deleteImage = ({ id, delete_token: token }) =>
  call("DELETE", `${IMAGES}/${id}`, undefined, token && { fields: { "X-Delete-Token": token } });

/** Delete images, 100 at most; return the ids of those deleted, and why others were not. */
export const deleteImages = (ids) => call("POST", `${IMAGES}/batch-delete`, { ids });

/** Make a link to a private image that works for some seconds. @returns {Promise<{url: string, expires_at: string}>} */
export const makeLink = ({ id }, seconds) =>
  call("POST", `${IMAGES}/${id}/links`, { expires_in: seconds });
