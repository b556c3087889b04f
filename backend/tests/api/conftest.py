"""Uploaded images for tests that look at them."""

from typing import Any

import httpx
import pytest

from testkit.asgi import Upload


@pytest.fixture
def upload(client: httpx.AsyncClient) -> Upload:
    async def upload(content: bytes, filename: str = "photo.jpg") -> dict[str, Any]:
        response = await client.post(
            "/api/v1/images/upload", files={"file": (filename, content, "image/jpeg")}
        )
        assert response.status_code == 201
        image: dict[str, Any] = response.json()
        return image

    return upload
