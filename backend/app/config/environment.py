"""Where settings are read from: the environment and `.env`."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

from dotenv.parser import parse_stream
from pydantic import ValidationError
from pydantic_core import ErrorDetails

from app.config.settings import Settings

PREFIX: Final = "IMAGE_HOST_"
"""A name with it wins over the bare one, which other programs may use for something else."""

_ENVIRONMENT: Final = "the environment"


class InvalidSettings(Exception):
    """Settings that the service cannot start with: one line for each bad value."""


class _Found(NamedTuple):
    """A value, and its source."""

    name: str
    value: str
    source: str

    @property
    def field(self) -> str:
        return self.name.lower().removeprefix(PREFIX.lower())

    @property
    def has_prefix(self) -> bool:
        return self.name.upper().startswith(PREFIX)

    @property
    def origin(self) -> str:
        return f"{self.name} from {self.source}"

    @property
    def advice(self) -> str:
        """The advice about a name that another program may have set."""
        if self.source != _ENVIRONMENT:
            return ""
        if not self.has_prefix:
            return f"; if it is not meant for this service, set {PREFIX}{self.field.upper()}"
        if self.value.startswith("tcp://"):
            return "; Kubernetes sets it for a Service of that name: enableServiceLinks: false"
        return ""


def load_settings() -> Settings:
    """Read the settings from the environment and `.env`, literally.

    A name with PREFIX wins over the bare one, then the environment over `.env`. An empty value
    counts as unset. A key of `.env` that is no setting is refused: it is most likely misspelt.

    Raises:
        InvalidSettings: With one line for each bad value.
    """
    found = _find()
    try:
        return Settings.model_validate({field: item.value for field, item in found.items()})
    except ValidationError as error:
        lines = [_line(item, found[str(item["loc"][0])]) for item in error.errors()]
        raise InvalidSettings("\n".join(lines)) from error


def origin(field: str) -> str:
    """Return the source of a setting's value, and what to set instead."""
    found = _find().get(field)
    return f"{found.origin}{found.advice}" if found else f"the default; set {field.upper()}"


def _find() -> dict[str, _Found]:
    variables = [_Found(name, value, _ENVIRONMENT) for name, value in os.environ.items()]
    known = [item for item in variables if item.field in Settings.model_fields]
    items = [item for item in (*_read(Path(".env")), *known) if item.value]
    return {item.field: item for item in sorted(items, key=lambda item: item.has_prefix)}


def _read(file: Path) -> Iterator[_Found]:
    """Read a file of NAME=value. A line that a parser would skip, as for a lone quote, is an error.

    Raises:
        InvalidSettings: If it cannot be read to its end.
    """
    try:
        with file.open(encoding="utf-8") as lines:
            for binding in parse_stream(lines):
                source = f"{file}, line {binding.original.line}"
                if binding.key is not None and binding.value is not None:
                    yield _Found(binding.key, binding.value, source)
                elif binding.error or binding.key is not None:
                    raise InvalidSettings(f"{source}, is not of the form NAME=value")
    except FileNotFoundError:
        pass
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidSettings(f"{file} cannot be read as UTF-8 text: {error}") from error


def _line(item: ErrorDetails, found: _Found) -> str:
    if item["type"] == "extra_forbidden":
        return f"{found.origin} is not a setting; .env.example lists them all"
    message = item["msg"].removeprefix("Value error, ")
    return f"{found.origin}: {message}{found.advice}"
