"""Works on nginx in front of the service, against nginx that sends the same files by itself."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random
from uuid import UUID

from app.api.images.paths import IMAGES_PATH
from bench import servers
from bench.reads import rates
from bench.rendering import write_image
from bench.site import LARGE, SMALL, Site
from bench.thumbnails import SIZE, get_thumbnail, upload_to
from bench.work import Comparison, Contender, Contenders, get, require
from testkit.front import front

SMALL_FILE, LARGE_FILE, THUMBNAIL = "42 KB", "947 KB", f"thumbnail {SIZE}"
FROM_DISK = "from the disk"


def against() -> tuple[Comparison, ...]:
    """Compare each file with itself, sent by nginx from the disk."""
    return tuple(
        Comparison(name, f"{name} {FROM_DISK}", at_least=0.9)
        for name in (SMALL_FILE, LARGE_FILE, THUMBNAIL)
    )


@contextmanager
def download(site: Site) -> Iterator[Contenders]:
    """Ask two nginx, with equally many processes, for the same files again and again."""
    settings = {"FRONT": "nginx", "TRUSTED_PROXIES": "127.0.0.1"}
    with (
        site.fresh_data() as data,
        servers.service(data, renders=True, **settings) as service,
        front(
            data.parent / "front", [int(service.url.rpartition(":")[2])], data / "images"
        ) as proxy,
        servers.nginx(data.parent / "disk", data / "images", processes="auto") as disk,
    ):
        photograph = data / "photograph.jpg"
        write_image(photograph, 2448, 1632)
        rendered = upload_to(service, photograph.read_bytes())
        require(get_thumbnail(rendered), "no thumbnail")
        small, large = (upload_to(service, one.content(Random())) for one in (SMALL, LARGE))
        contenders: dict[str, Contender] = {}
        for name, image, end, kind in (
            (SMALL_FILE, small, "file", ".jpg"),
            (LARGE_FILE, large, "file", ".jpg"),
            (THUMBNAIL, rendered, f"thumbnails/{SIZE}", f"-{SIZE}-*.webp"),
        ):
            image_id = image.rpartition("/")[2]
            file = _file(data / "images", UUID(image_id), kind)
            through = f"{proxy.url}{IMAGES_PATH}/{image_id}/{end}"
            alone = f"{disk.url}/{file.relative_to(data / 'images')}"
            size = file.stat().st_size
            for url in (through, alone):
                require(get(url).content == file.read_bytes(), f"{url} sent other bytes")
            contenders |= rates(
                {name: through, f"{name} {FROM_DISK}": alone}, range(size, 2 * size)
            )
        yield Contenders(contenders)


def _file(images: Path, image_id: UUID, kind: str) -> Path:
    found = [*images.glob(f"??/{image_id.hex}{kind}")]
    require(len(found) == 1, f"{image_id} has {len(found)} files {kind}")
    return found[0]
