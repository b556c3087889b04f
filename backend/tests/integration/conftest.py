"""The use cases over a real database and a storage in memory."""

from collections.abc import AsyncIterator

import pytest

from app.database.engine import Database
from app.services.use_cases import Services
from app.storage.memory import MemoryStorage
from testkit.uploads import LIMITS


@pytest.fixture
def storage() -> MemoryStorage:
    return MemoryStorage()


@pytest.fixture
async def services(database: Database, storage: MemoryStorage) -> AsyncIterator[Services]:
    services = Services(database, storage, LIMITS)
    yield services
    await services.close()
