"""What the service is compared with: the usual way to write an image host with FastAPI.

Not a straw man: it does what good tutorials do, over the same PostgreSQL and the same disk, with
uvloop, httptools and connections that stay open, and without an access log. It checks no type and
no limit, hides no half-written file and syncs no folder, all of which favours it. What it need not
do is switched off: telemetry, headers of proxies, the header that names the server.

    uvicorn bench.references:app --no-access-log --no-proxy-headers --no-server-header
"""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

from fastapi import FastAPI, HTTPException, Request, UploadFile
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import FileResponse
from pydantic import BaseModel, ConfigDict
from sqlalchemy import func
from sqlalchemy.ext.asyncio import async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

POOL_SIZE = 20
FOLDER = Path(os.environ.get("FOLDER", "."))
"""Where uploads are stored."""


class Base(DeclarativeBase):
    """Parent of the table."""


class UsualImage(Base):
    """One stored image."""

    __tablename__ = "usual_images"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    filename: Mapped[str]
    path: Mapped[str]
    content_type: Mapped[str]
    file_size: Mapped[int]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())


class ImageOut(BaseModel):
    """One image on the wire."""

    model_config = ConfigDict(from_attributes=True)

    id: UUID
    filename: str
    path: str
    content_type: str
    file_size: int
    created_at: datetime


@asynccontextmanager
async def lifespan(_app: FastAPI) -> AsyncIterator[dict[str, Any]]:
    """Open the database, and make the table."""
    engine = create_async_engine(os.environ["DATABASE_URL"], pool_size=POOL_SIZE)
    async with engine.begin() as connection:
        await connection.run_sync(Base.metadata.create_all)
    yield {"sessions": async_sessionmaker(engine, expire_on_commit=False)}
    await engine.dispose()


app = FastAPI(
    lifespan=lifespan,
    openapi_url=None,
    telemetry={"tracing": False, "metrics": False, "logs": False},
)


@app.get("/bare")
async def bare() -> dict[str, str]:
    """Answer at once: the most that FastAPI can do."""
    return {"hello": "world"}


@app.get("/file")
async def file_without_row(path: str) -> FileResponse:
    """Send a file, without asking the database about it."""
    return FileResponse(path)


@app.get("/images/{image_id}")
async def get_image(request: Request, image_id: UUID) -> ImageOut:
    """Return what is known of an image."""
    return ImageOut.model_validate(await _find(request, image_id))


@app.get("/images/{image_id}/file")
async def get_image_file(request: Request, image_id: UUID) -> FileResponse:
    """Send the bytes of an image."""
    image = await _find(request, image_id)
    return FileResponse(image.path, media_type=image.content_type)


@app.post("/images", status_code=201)
async def upload_image(request: Request, file: UploadFile) -> ImageOut:
    """Store an image, which is durable when this returns."""
    image_id = uuid4()
    path = FOLDER / f"{image_id}.jpg"
    content = await file.read()
    await run_in_threadpool(_write, path, content)
    image = UsualImage(
        id=image_id,
        filename=file.filename or "image",
        path=str(path),
        content_type=file.content_type or "application/octet-stream",
        file_size=len(content),
    )
    async with request.state.sessions() as session:
        session.add(image)
        await session.commit()
    return ImageOut.model_validate(image)


async def _find(request: Request, image_id: UUID) -> UsualImage:
    async with request.state.sessions() as session:
        image: UsualImage | None = await session.get(UsualImage, image_id)
    if image is None:
        raise HTTPException(404, "Image not found")
    return image


def _write(path: Path, content: bytes) -> None:
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
