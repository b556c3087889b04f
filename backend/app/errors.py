"""The domain errors. Each carries one plain sentence for the person who asked.

ImageHostError
├── UploadRejected
│   ├── InvalidFileType
│   ├── EmptyFile
│   ├── FileTooLarge
│   ├── TooManyFiles
│   └── QuotaExceeded
├── UploadFailed
├── ImageNotFound
├── ImageDamaged
├── DatabaseUnavailable
└── StorageError
    ├── StorageUnavailable
    ├── StorageFull
    └── ObjectNotFound
"""

from uuid import UUID


class ImageHostError(Exception):
    """Anything this service refuses or fails to do; `str()` is the sentence to show."""


class UploadRejected(ImageHostError):
    """The upload cannot be accepted as it was sent."""


class InvalidFileType(UploadRejected):
    """The bytes are neither a JPEG nor a PNG."""

    def __init__(self) -> None:
        super().__init__("Invalid file type: the file is neither a JPEG nor a PNG image.")


class EmptyFile(UploadRejected):
    """The file has no bytes at all."""

    def __init__(self) -> None:
        super().__init__("The file is empty.")


class FileTooLarge(UploadRejected):
    """The file has more than `limit` bytes."""

    def __init__(self, limit: int) -> None:
        super().__init__(f"The file is larger than the limit of {limit} bytes.")


class TooManyFiles(UploadRejected):
    """A batch holds more than `limit` files."""

    def __init__(self, limit: int) -> None:
        super().__init__(f"A batch may hold at most {limit} files; nothing was stored.")


class QuotaExceeded(UploadRejected):
    """The address has used up its uploads; the next is possible after `retry_after` seconds."""

    def __init__(self, limit: int, retry_after: int) -> None:
        super().__init__(
            f"At most {limit} images an hour are accepted from one address; "
            f"try again in {retry_after} seconds."
        )
        self.retry_after = retry_after


class UploadFailed(ImageHostError):
    """A file of a batch met a defect of the program, such as a row that the database refuses."""

    def __init__(self) -> None:
        super().__init__("The file could not be stored; the service's log tells why.")


class ImageNotFound(ImageHostError):
    """No image has this id."""

    def __init__(self, image_id: UUID) -> None:
        super().__init__(f"No image has the id {image_id}.")


class ImageDamaged(ImageHostError):
    """The image is known, but its stored bytes are missing or have another length."""

    def __init__(self, image_id: UUID) -> None:
        super().__init__(f"The stored file of image {image_id} is missing or damaged.")


class DatabaseUnavailable(ImageHostError):
    """The database cannot be reached, or not used, at the moment."""

    def __init__(self) -> None:
        super().__init__("The database is not available at the moment; try again shortly.")


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
