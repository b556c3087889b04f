"""All that people do with images: the use cases over one database and one storage."""

from dataclasses import dataclass
from typing import Self

from app.database.engine import Database
from app.domain.limits import UploadLimits
from app.services.files import ImageFiles
from app.services.identity import StorageIdentity
from app.services.images import Images
from app.services.insertion import Insertion
from app.services.quota import UploadQuota
from app.services.readiness import Readiness
from app.services.staging import Staging
from app.services.upload import Uploads
from app.storage.base import StorageBackend


@dataclass(frozen=True, slots=True)
class Services:
    """The use cases, each under its name."""

    uploads: Uploads
    images: Images
    files: ImageFiles
    readiness: Readiness

    @classmethod
    def over(cls, database: Database, storage: StorageBackend, limits: UploadLimits) -> Self:
        """Return the use cases over a database and a storage backend."""
        identity = StorageIdentity(database, storage)
        quota = UploadQuota(database, limits.uploads_per_hour_per_ip)
        images = Images(database, storage)
        return cls(
            uploads=Uploads(
                Staging(storage, identity, limits.max_upload_bytes),
                Insertion(database, quota),
                quota,
                limits.batch_max_files,
            ),
            images=images,
            files=ImageFiles(images, storage, identity),
            readiness=Readiness(database, storage, identity),
        )
