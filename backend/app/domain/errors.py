"""The domain errors. Each carries one plain sentence for the person who asked.

Those about users and their keys are in `user_errors`.

ImageHostError
├── UploadRejected
│   ├── InvalidFileType
│   ├── EmptyFile
│   ├── MetadataNotRemovable
│   └── LimitExceeded
│       ├── FileTooLarge
│       ├── TooManyFiles
│       ├── QuotaExceeded
│       └── StorageQuotaExceeded
├── UploadFailed
├── UploadUnderWay
├── IdempotencyKeyReused
├── ImageNotFound
├── InvalidFilename
├── ImageIsPublic
├── ImageDamaged
├── UnknownThumbnailSize
├── ThumbnailNotReady
├── ImageNotRenderable
├── DatabaseUnavailable
│   └── DatabaseFull
├── CacheUnavailable
└── StorageError
    ├── StorageUnavailable
    ├── StorageFull
    └── ObjectNotFound
"""

from collections.abc import Sequence
from typing import ClassVar
from uuid import UUID


class ImageHostError(Exception):
    """Anything this service refuses or fails to do; `str()` is the sentence to show."""


class UploadRejected(ImageHostError):
    """The upload cannot be accepted as it was sent."""


class InvalidFileType(UploadRejected):
    """The bytes are no image of an accepted type.

    Args:
        is_named: Whether they came with a file name; without one they may be a mere text.
    """

    def __init__(self, *, is_named: bool = True) -> None:
        super().__init__(
            "Invalid file type: the file is not a JPEG, PNG, GIF, WebP, AVIF or HEIC image."
            if is_named
            else "Invalid file type: this is a value without a file name, and not a JPEG, PNG, "
            "GIF, WebP, AVIF or HEIC image; curl sends the file itself with an @ before its path."
        )


class EmptyFile(UploadRejected):
    """The file has no bytes at all."""

    def __init__(self) -> None:
        super().__init__("The file is empty.")


class MetadataNotRemovable(UploadRejected):
    """The file was to lose its metadata, which cannot be removed from it with certainty.

    Args:
        is_damaged: Whether that is for this file alone, not for every file of its type.
    """

    def __init__(self, *, is_damaged: bool = False) -> None:
        super().__init__(
            "The metadata of this image cannot be removed, because the file is damaged or unusual; "
            "save it again with another program, or upload it with its metadata "
            "(strip_metadata=false)."
            if is_damaged
            else "The metadata of AVIF and HEIC images cannot be removed; convert the image to "
            "JPEG, or upload it with its metadata (strip_metadata=false)."
        )


class LimitExceeded(UploadRejected):
    """The upload is over one of the limits that people can ask for.

    Args:
        sentence: What to show.
        limit: The limit's name, as `GET /api/v1/limits` has it.
        allowed: Its value.
        actual: What was found instead; of what is still arriving, as much as had been counted.
    """

    def __init__(self, sentence: str, limit: str, allowed: int, actual: int) -> None:
        super().__init__(sentence)
        self.limit = limit
        self.allowed = allowed
        self.actual = actual


class FileTooLarge(LimitExceeded):
    """The file has more bytes than allowed."""

    def __init__(self, allowed: int, actual: int) -> None:
        sentence = f"The file is larger than the limit of {allowed} bytes."
        super().__init__(sentence, "max_upload_bytes", allowed, actual)


class TooManyFiles(LimitExceeded):
    """A batch holds more files than allowed."""

    def __init__(self, allowed: int, actual: int) -> None:
        sentence = f"A batch may hold at most {allowed} files; nothing was stored."
        super().__init__(sentence, "batch_max_files", allowed, actual)


class QuotaExceeded(LimitExceeded):
    """The address has used up its uploads; the next is possible after `retry_after` seconds."""

    def __init__(self, allowed: int, actual: int, retry_after: int) -> None:
        sentence = (
            f"At most {allowed} images an hour are accepted from one address; "
            f"try again in {retry_after} seconds."
        )
        super().__init__(sentence, "uploads_per_hour", allowed, actual)
        self.retry_after = retry_after


class StorageQuotaExceeded(LimitExceeded):
    """The images of a user would be more than their quota.

    Args:
        limit: Which quota: `quota_bytes` or `quota_images`.
        allowed: Its value.
        used: How much of it is used.
        needed: How much the file needs; before it has been read, the least that it can be.
    """

    def __init__(self, limit: str, allowed: int, used: int, needed: int) -> None:
        unit = limit.removeprefix("quota_")
        sentence = (
            f"Your storage quota is {allowed} {unit}, of which {used} are used; "
            f"this file needs {needed} more at least."
        )
        super().__init__(sentence, limit, allowed, used + needed)
        self.used = used
        self.needed = needed


class UploadFailed(ImageHostError):
    """A file of a batch met a defect of the program, such as a row that the database refuses.

    It is raised from that.
    """

    def __init__(self) -> None:
        super().__init__("The file could not be stored; the service's log says why.")


class UploadUnderWay(ImageHostError):
    """A request with the same Idempotency-Key is being carried out."""

    def __init__(self) -> None:
        super().__init__(
            "A request with this Idempotency-Key is under way; send it again for its answer."
        )


class IdempotencyKeyReused(ImageHostError):
    """An Idempotency-Key came with other files, options or another call than before."""

    def __init__(self) -> None:
        super().__init__(
            "This Idempotency-Key was sent before, with another request; nothing of this one was "
            "stored."
        )


class ImageNotFound(ImageHostError):
    """No image has this id."""

    def __init__(self, image_id: UUID) -> None:
        super().__init__(f"No image has the id {image_id}.")


class InvalidFilename(ImageHostError):
    """Nothing is left of a file name that was made harmless."""

    def __init__(self) -> None:
        super().__init__(
            "A file name needs, after its last slash, a visible character that is not a dot."
        )


class ImageIsPublic(ImageHostError):
    """A link was asked for to an image whose address everybody can use."""

    def __init__(self, image_id: UUID) -> None:
        super().__init__(f"The image {image_id} is public, so its address needs no signature.")


class ImageDamaged(ImageHostError):
    """The image is known, but its stored bytes are missing or have another length.

    Args:
        image_id: Which image.
        finding: What is wrong with its file, for the operator.
        is_known: Whether the operator was warned of that recently.
    """

    def __init__(self, image_id: UUID, finding: str = "", *, is_known: bool = False) -> None:
        super().__init__(f"The stored file of image {image_id} is missing or damaged.")
        self.reason = f"image {image_id}: {finding}"
        self.is_known = is_known


class UnknownThumbnailSize(ImageHostError):
    """There are no thumbnails of this size; the sentence names those that there are."""

    def __init__(self, sizes: Sequence[int]) -> None:
        there_are = f"There are thumbnails of the sizes {', '.join(map(str, sizes))} only."
        super().__init__(there_are if sizes else "This service makes no thumbnails.")


class ThumbnailNotReady(ImageHostError):
    """The thumbnail is not rendered yet.

    Args:
        reason: Why not, for the operator.
    """

    def __init__(self, reason: str = "") -> None:
        super().__init__("The thumbnail is still being rendered; try again shortly.")
        self.reason = reason


class ImageNotRenderable(ImageHostError):
    """There can be no thumbnail of the image, for a reason that is one sentence."""


class DatabaseUnavailable(ImageHostError):
    """The database cannot be reached, or not used, at the moment.

    Args:
        reason: One line for the operator; it may name hosts, users and databases.
        refused: Whether the database is there and refuses what the settings say.
    """

    sentence: ClassVar = "The database is not available at the moment; try again shortly."

    def __init__(self, reason: str = "", *, refused: bool = False) -> None:
        super().__init__(self.sentence)
        self.reason = reason
        self.refused = refused


class DatabaseFull(DatabaseUnavailable):
    """The database has no room for more rows; it can still be read."""

    sentence: ClassVar = "The database has no room left for this change."


class CacheUnavailable(ImageHostError):
    """The cache cannot be reached, or does not answer as it should. Nobody is answered this."""

    def __init__(self) -> None:
        super().__init__("The cache is not available at the moment.")


class StorageError(ImageHostError):
    """The storage could not do what was asked."""


class StorageUnavailable(StorageError):
    """The storage cannot be reached, or not used, at the moment."""

    def __init__(self) -> None:
        super().__init__("The image storage is not available at the moment; try again shortly.")


class StorageFull(StorageError):
    """The storage has no room for the file."""

    def __init__(self) -> None:
        super().__init__("The image storage has no room left for this file.")


class ObjectNotFound(StorageError):
    """The storage holds no object under this key."""

    def __init__(self, key: str) -> None:
        super().__init__(f"The storage holds no object {key}.")
