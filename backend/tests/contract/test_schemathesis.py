"""The service and its OpenAPI document agree, for whatever a generator thinks of."""

from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest
import schemathesis
from hypothesis import strategies as st
from sqlalchemy.engine import URL

from app.api.cursor import encode_cursor
from app.main import create_app
from app.services.catalog import Position
from tests import pictures
from tests.conftest import make_settings
from tests.live import LiveServer, serve
