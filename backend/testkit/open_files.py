"""Open files for a renderer, which takes their descriptors."""

from collections.abc import Iterator
from contextlib import contextmanager
from tempfile import TemporaryFile

from app.domain.metadata import Metadata
from app.imaging.rendering.child import Rendition
from app.imaging.rendering.renderer import Renderer


@contextmanager
def opened(content: bytes) -> Iterator[int]:
    """Yield the descriptor of a file with this content."""
    with TemporaryFile() as file:
        file.write(content)
        file.flush()
        yield file.fileno()


async def render(renderer: Renderer, content: bytes) -> Rendition:
    with opened(content) as descriptor:
        return await renderer.render(descriptor)


async def extract(renderer: Renderer, content: bytes) -> Metadata:
    with opened(content) as descriptor:
        return await renderer.extract(descriptor)
