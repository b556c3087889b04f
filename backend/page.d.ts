/* The page's types: what the API answers, as app/schemas has it, and what its modules may assume. */

interface ApiImage {
  id: string;
  filename: string;
  storage_key: string;
  content_type: string;
  /** Bytes. */
  file_size: number;
  checksum: string | null;
  /** Pixels, as it is shown; null if not known. */
  width: number | null;
  height: number | null;
  truncated: boolean | null;
  /** ThumbHash in base64; null until the image is rendered. */
  placeholder: string | null;
  /** By the most pixels of the longer side. */
  thumbnails: Record<string, ApiThumbnail>;
  is_public: boolean;
  created_at: string;
  updated_at: string;
  url: string;
}

/** What an upload is answered with. */
interface ApiUploadedImage extends ApiImage {
  delete_token: string;
  delete_url: string;
}

interface ApiThumbnail {
  url: string;
  /** Pixels; null if those of the image are. */
  width: number | null;
  height: number | null;
}

interface ApiImageDetails extends ApiImage {
  /** Null until a worker has looked. */
  metadata: ApiMetadata | null;
}

interface ApiMetadata {
  camera_make?: string;
  camera_model?: string;
  lens?: string;
  software?: string;
  /** Local time (ISO 8601). */
  taken_at?: string;
  /** Seconds. */
  exposure_time?: number;
  f_number?: number;
  iso?: number;
  /** Millimetres. */
  focal_length?: number;
  focal_length_35mm?: number;
  orientation?: number;
}

interface ApiImageList {
  items: ApiImage[];
  /** Null on the last page. */
  next_cursor: string | null;
}

type ApiAccess = "open" | "upload" | "keys";
type ApiImageType = `image/${string}`;

interface ApiLimits {
  accepted_types: ApiImageType[];
  max_upload_bytes: number;
  batch_max_files: number;
  uploads_per_hour: number | null;
  thumbnail_sizes: number[];
  access: ApiAccess;
}

/* A module knows what its template holds: what it looks for there is found, and of the right kind. */
interface ParentNode {
  querySelector<K extends keyof HTMLElementTagNameMap>(selectors: K): HTMLElementTagNameMap[K];
  querySelector(selectors: string): any;
  querySelectorAll<K extends keyof HTMLElementTagNameMap>(
    selectors: K,
  ): NodeListOf<HTMLElementTagNameMap[K]>;
  querySelectorAll(selectors: string): NodeListOf<HTMLElement>;
}

interface Element {
  closest(selectors: string): any;
}
