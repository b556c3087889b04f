"""The kinds of problems that are errors of the domain, by status, each with one as its example."""

from typing import Final
from uuid import UUID

from app.api.problems.problem import Problem
from app.domain import errors, user_errors
from app.schemas.image import EXAMPLE_ID

DOMAIN_KINDS: Final = (
    Problem(
        "invalid-file-type",
        400,
        "The bytes of the file are not those of a JPEG, PNG, GIF, WebP, AVIF or HEIC image. "
        "Convert it; renaming it does not help, because names and declared types are ignored.",
        errors.InvalidFileType(),
    ),
    Problem("empty-file", 400, "The file has no bytes.", errors.EmptyFile()),
    Problem(
        "too-many-files",
        400,
        "Send the files in several batches. Nothing of this one was stored.",
        errors.TooManyFiles(20, 21),
    ),
    Problem(
        "invalid-key",
        401,
        "Send a key as `Authorization: Bearer <key>`, or as `X-API-Key: <key>`. The one that was "
        "sent may be wrong, have expired, or have been revoked.",
        user_errors.InvalidKey(),
        exact_title="Invalid API key",
    ),
    Problem(
        "missing-scope",
        403,
        "The key is valid, but not for this call. Create one with the scope that `detail` names.",
        user_errors.MissingScope("delete"),
    ),
    Problem(
        "administrators-only",
        403,
        "The key has the scope `admin`, by which its user manages their own keys. To manage users, "
        "the user must be an administrator.",
        user_errors.AdministratorsOnly(),
    ),
    Problem(
        "image-not-found",
        404,
        "No image has this id. It may have been deleted.",
        errors.ImageNotFound(UUID(EXAMPLE_ID)),
    ),
    Problem(
        "user-not-found",
        404,
        "No user has this id. They may have been deleted, or are being deleted. Or the key is that "
        "of API_KEY, which is no user's: `user_id` must say whose keys these are.",
        user_errors.UserNotFound(UUID(EXAMPLE_ID)),
    ),
    Problem(
        "key-not-found",
        404,
        "No API key of yours has this prefix, which is what it begins with: `ih_` and 8 "
        "characters.",
        user_errors.KeyNotFound(),
    ),
    Problem(
        "unknown-thumbnail-size",
        404,
        "There are thumbnails of some sizes only: `thumbnails` of an image has their URLs, and "
        "`thumbnail_sizes` of the limits the sizes.",
        errors.UnknownThumbnailSize([150, 300, 800]),
    ),
    Problem(
        "user-exists",
        409,
        "Another user has this email; upper and lower case are the same.",
        user_errors.UserExists("ada@example.org"),
    ),
    Problem(
        "too-many-keys",
        409,
        "The user has as many valid API keys as there may be. Revoke those that are not used.",
        user_errors.TooManyKeys(100),
    ),
    Problem(
        "image-is-public",
        409,
        "A link that expires was asked for, but anybody can fetch this image by its address. Make "
        "it private first.",
        errors.ImageIsPublic(UUID(EXAMPLE_ID)),
    ),
    Problem(
        "upload-under-way",
        409,
        "The service is still carrying out a request with the same Idempotency-Key: the first of "
        "two, or one whose client has disconnected. Send the same request again after the seconds "
        "in Retry-After; it is then answered as the first one was. Where a process of the service "
        "was killed, that takes up to 30 seconds.",
        errors.UploadUnderWay(),
    ),
    Problem(
        "file-too-large",
        413,
        "The file has more bytes than the service takes: more than `allowed`. `actual` is how many "
        "had been counted when reading stopped.",
        errors.FileTooLarge(52_428_800, 52_490_240),
    ),
    Problem(
        "storage-quota-exceeded",
        413,
        "Your images would be more than your quota. Of the quota that `limit` names, `allowed` is "
        "all there is, `used` what your images take, and `needed` what this one would take. Delete "
        "images, or ask the operator for more; a deleted image makes room at once.",
        errors.StorageQuotaExceeded("quota_bytes", 1_000_000_000, 999_800_000, 482_113),
    ),
    Problem(
        "metadata-not-removable",
        422,
        "The upload was to lose its metadata, which cannot be removed from this file with "
        "certainty: it is AVIF or HEIC, or its structure cannot be followed. It was not stored. "
        "Convert it, or send it with strip_metadata=false, which keeps all that is in it, the "
        "place where it was taken included.",
        errors.MetadataNotRemovable(),
    ),
    Problem(
        "idempotency-key-reused",
        422,
        "An Idempotency-Key stands for one request: one call with the same files, names and "
        "options. Make a new key for each upload, and send it again only with the same upload.",
        errors.IdempotencyKeyReused(),
    ),
    Problem(
        "image-not-renderable",
        422,
        "No thumbnail can be made of this image, for the reason in `detail`. Its file can be "
        "fetched.",
        errors.ImageNotRenderable("The image has more than 100000000 pixels."),
    ),
    Problem(
        "quota-exceeded",
        429,
        "Your address has added as many images as it may within an hour. Retry-After has the "
        "seconds until the next one is possible; RateLimit and RateLimit-Policy say the same to "
        "programs.",
        errors.QuotaExceeded(100, 100, 1260),
    ),
    Problem(
        "image-damaged",
        500,
        "The image is listed, but its file is missing or has another length than it should.",
        errors.ImageDamaged(UUID(EXAMPLE_ID)),
    ),
    Problem(
        "thumbnail-not-ready",
        503,
        "The thumbnail is being rendered, which takes longer than the request may wait. Try again "
        "after the seconds in Retry-After.",
        errors.ThumbnailNotReady(),
    ),
    Problem(
        "database-unavailable",
        503,
        "Try again after the seconds in Retry-After.",
        errors.DatabaseUnavailable(),
    ),
    Problem(
        "storage-unavailable",
        503,
        "Try again after the seconds in Retry-After.",
        errors.StorageUnavailable(),
    ),
    Problem(
        "database-full",
        507,
        "The operator must make room for the database before uploads can go on.",
        errors.DatabaseFull(),
    ),
    Problem(
        "storage-full",
        507,
        "The operator must make room before uploads can go on.",
        errors.StorageFull(),
    ),
)
