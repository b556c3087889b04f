"""All that people do with images: the use cases over one database and one storage."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType

from app.cache.base import Cache
from app.database.engine import Database
from app.domain.actor import Access
from app.domain.job import RENDER, SHARE
from app.domain.limits import UploadLimits
from app.observability.observer import SILENT, Observer
from app.services.authentication import Authentication
from app.services.cached_rows import CachedRows
from app.services.changes import Changes
from app.services.delete_tokens import DeleteTokens
from app.services.deletion import Deletion
from app.services.equal_images import EqualImages
from app.services.files import ImageFiles
from app.services.idempotency import Idempotency
from app.services.identity import StorageIdentity
from app.services.images import Images
from app.services.insertion import Insertion
from app.services.keys import Keys
from app.services.lease import Lease
from app.services.links import Links
from app.services.quota import UploadQuota
from app.services.readiness import Readiness
from app.services.removal import Removal
from app.services.secrets import Secrets
from app.services.signing import AddressSigner
from app.services.staging import Staging
from app.services.statistics import Statistics
from app.services.storage_quota import StorageQuota
from app.services.thumbnails import Thumbnails
from app.services.upload import Uploads
from app.services.users import Users
from app.services.visibility import Visibility
from app.storage.abilities import Shares
from app.storage.base import StorageBackend


class Services:
    """The use cases, each under its name."""

    def __init__(  # noqa: PLR0913 - all that the use cases need
        self,
        database: Database,
        storage: StorageBackend,
        limits: UploadLimits,
        thumbnail_sizes: Sequence[int] = (),
        *,
        strip_metadata: bool = False,
        cache: Cache | None = None,
        lease: Lease | None = None,
        redirects: bool = False,
        api_key: str = "",
        access: Access = Access.OPEN,
        signing_keys: Mapping[str, bytes] = MappingProxyType({}),
        observer: Observer = SILENT,
    ) -> None:
        self.secrets = Secrets(database, observer)
        self.authentication = Authentication(database, self.secrets, api_key, access, observer)
        self.users = Users(database)
        self.keys = Keys(database, self.secrets)
        self.signer = AddressSigner(self.secrets, signing_keys)
        changes = Changes(database, cache)
        self.cached_rows = CachedRows(database, cache) if cache else None
        identity = StorageIdentity(database, storage)
        staging = Staging(storage, identity, limits.max_upload_bytes, strip_metadata=strip_metadata)
        quota = UploadQuota(database, limits.uploads_per_hour_per_ip, observer)
        storage_quota = StorageQuota(database, observer)
        tasks = {RENDER: bool(thumbnail_sizes), SHARE: isinstance(storage, Shares)}
        wanted = frozenset(task for task, is_wanted in tasks.items() if is_wanted)
        insertion = Insertion(database, quota, storage_quota, wanted, observer)
        self.idempotency = Idempotency(database)
        equals = EqualImages(database, storage, finds_unowned=access is not Access.UPLOAD)
        self.uploads = Uploads(
            staging, insertion, quota, storage_quota, equals, limits.batch_max_files
        )
        self.images = Images(database, changes, self.cached_rows, observer)
        removal = Removal(storage, lease)
        self.deletion = Deletion(changes, removal, observer)
        self.visibility = Visibility(
            changes,
            storage,
            identity,
            self.images,
            removal,
            renders=bool(thumbnail_sizes),
            redirects=redirects,
        )
        self.links = Links(self.images, self.signer)
        self.delete_tokens = DeleteTokens(self.secrets)
        self.statistics = Statistics(database, self.images)
        self.files = ImageFiles(self.images, storage, identity, lease, redirects=redirects)
        self.thumbnails = Thumbnails(
            changes, storage, self.images, self.files, thumbnail_sizes, observer=observer
        )
        self.readiness = Readiness(database, storage, identity, cache)

    async def close(self) -> None:
        """Store what was promised, and drop what nobody waits for; no request may follow."""
        await self.readiness.close()
        await self.uploads.close()
        await self.idempotency.close()
        await self.thumbnails.close()
        await self.images.close()
        await self.authentication.close()
        await self.secrets.close()
