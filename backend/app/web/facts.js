/** What is known of an image, by the names of the facts. */

import { formatBytes, formatTime, formatType } from "./format.js";

export const factsOf = ({ file_size, created_at, content_type, width, height }) => ({
  "File size": formatBytes(file_size),
  Uploaded: formatTime(created_at),
  Type: formatType(content_type),
  Dimensions: width && height && `${width} × ${height} pixels`,
});

/** Return what a camera recorded; the time as its clock showed it, wherever the reader is. */
export const recordedFacts = (metadata) => ({
  Taken: metadata.taken_at && formatTime(`${metadata.taken_at.slice(0, 19)}Z`, "UTC"),
  Camera: cameraOf(metadata),
  Lens: metadata.lens,
  Exposure: exposureOf(metadata),
});

/** Return maker and model; many models begin with the maker. */
function cameraOf({ camera_make: make = "", camera_model: model = "" }) {
  const isNamed = model.toLowerCase().startsWith(make.split(" ")[0].toLowerCase());
  return isNamed ? model : `${make} ${model}`.trim();
}

function exposureOf({ exposure_time: time, f_number: aperture, iso, focal_length: length }) {
  const seconds = time < 0.4 ? `1/${Math.round(1 / time)}` : time;
  const parts = [time && `${seconds} s`, aperture && `f/${aperture}`, iso && `ISO ${iso}`];
  return [...parts, length && `${length} mm`].filter(Boolean).join(" · ");
}
