"""Settings of a service under test, and the names of all that there are."""

from pathlib import Path
from typing import Any

from pydantic import SecretStr
from sqlalchemy.engine import URL

from app.config.environment import PREFIX
from app.config.settings import Settings

MAX_UPLOAD_BYTES = 2 * 1024 * 1024
"""The limit in tests: several blocks of the storage, and yet soon exceeded."""


def setting_names() -> set[str]:
    """Return every variable that the service reads its settings from."""
    names = {name.upper() for name in Settings.model_fields}
    return names | {PREFIX + name for name in names}


def make_settings(database_url: URL, data_dir: Path, **changes: Any) -> Settings:
    return Settings(
        database_url=SecretStr(database_url.render_as_string(hide_password=False)),
        data_dir=data_dir,
        **{"max_upload_bytes": MAX_UPLOAD_BYTES, **changes},
    )
