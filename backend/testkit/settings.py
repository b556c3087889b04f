"""Settings of a service under test, and the names of all that there are."""

from pathlib import Path
from typing import Any

from pydantic import SecretStr
from sqlalchemy.engine import URL

from app.config.environment import PREFIX
from app.config.settings import Settings
from testkit.ceph import Ceph

MAX_UPLOAD_BYTES = 2 * 1024 * 1024
"""The limit in tests: several blocks of the storage, and yet soon exceeded."""


def setting_names() -> set[str]:
    """Return every variable that the service reads its settings from."""
    names = {name.upper() for name in Settings.model_fields}
    return names | {PREFIX + name for name in names}


def over_bucket(settings: Settings, ceph: Ceph, bucket: str) -> Settings:
    """Return settings of a service that stores its images in a bucket."""
    return settings.model_copy(
        update={
            "storage_url": ceph.url(bucket),
            "aws_access_key_id": ceph.access_key,
            "aws_secret_access_key": SecretStr(ceph.secret_key),
        }
    )


def make_settings(database_url: URL, data_dir: Path, **changes: Any) -> Settings:
    return Settings(
        database_url=SecretStr(database_url.render_as_string(hide_password=False)),
        data_dir=data_dir,
        **{"max_upload_bytes": MAX_UPLOAD_BYTES, **changes},
    )
