"""Readiness says what of the service cannot be used."""

from app.database.engine import Database
from app.domain.errors import (
    StorageUnavailable,
)
from app.services.use_cases import Services
from app.storage.memory import MemoryStorage
from testkit import samples
from testkit.uploads import (
    LIMITS,
)

JPEG = samples.jpeg()
PNG = samples.png()


async def test_outages_name_what_is_down(storage: MemoryStorage, services: Services) -> None:
    assert await services.readiness.outages() == {}

    class Down(MemoryStorage):
        async def probe(self) -> None:
            raise StorageUnavailable

    unavailable = Database("postgresql+asyncpg://127.0.0.1:1/nothing")
    down = Services(unavailable, Down(), LIMITS)
    assert list(await down.readiness.outages()) == ["database", "storage"]
    down = Services(unavailable, storage, LIMITS)
    assert list(await down.readiness.outages()) == ["database"]
