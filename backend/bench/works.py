"""The rows of the table, and their goals."""

from functools import partial
from typing import Final

from bench import (
    cached_reads,
    front,
    large_downloads,
    quota,
    rendering,
    s3,
    stripping,
    thumbnails,
)
from bench.reads import (
    conditional,
    download_hot,
    download_spread,
    list_pages,
    metadata,
    start,
    workers,
)
from bench.render_alone import WAYS, WAYS_OF_HEIC
from bench.site import HUGE, LARGE, SMALL
from bench.work import CORES, Comparison, Work
from bench.writes import BARE, latency, memory, upload

_USUAL: Final = partial(Comparison, "service", "usual way")
_BARE: Final = partial(Comparison, "service", "bare answer")
_CEILING: Final = Comparison(BARE, "usual way")
_CACHE: Final = partial(Comparison, "Redis", "no cache")
_FORMATS: Final[dict[str, tuple[str, ...]]] = {
    "GIF": tuple(WAYS),
    "WebP": tuple(WAYS),
    "AVIF": tuple(WAYS),
    "HEIC": WAYS_OF_HEIC,
}
"""Besides JPEG and PNG, and which libraries decode them."""
_STRIPPING: Final = Comparison("stripped", "as sent", at_least=0.85)
_DIRECTLY: Final = Comparison("service", s3.DIRECTLY, at_least=0.7)
_RENDERING: Final = Comparison("rendering", "no rendering", at_least=0.8)

WORKS: Final = (
    Work(
        "download-hot",
        "download 42 KB, hot",
        download_hot,
        (_USUAL(at_least=8), _BARE(at_least=0.6)),
    ),
    Work(
        "download-spread",
        "download 42 KB, over 100,000 images",
        download_spread,
        (_USUAL(at_least=2.5),),
    ),
    Work(
        "download-large",
        "download 947 KB",
        partial(large_downloads.download, spec=LARGE),
        large_downloads.against(usual_at_least=5, nginx_at_least=0.5),
    ),
    Work(
        "download-huge",
        "download 20 MiB, 4 connections",
        partial(large_downloads.download, spec=HUGE, connections=4),
        large_downloads.against(usual_at_least=5, nginx_at_least=0.8),
    ),
    Work(
        "download-memory",
        "peak RSS, 32 downloads at once",
        large_downloads.memory,
        (Comparison("20 MiB each", "100 KiB each", at_most=1.25, unit="MiB"),),
    ),
    Work(
        "download-latency",
        "320 downloads/s beside downloads of 20 MiB",
        large_downloads.latency,
        (
            Comparison("beside 16 downloads", "no downloads", at_most=3, unit="p99 ms"),
            Comparison("beside 16 downloads", "no downloads", unit="p50 ms"),
        ),
    ),
    Work("conditional", "conditional GET, 304", conditional, (_BARE(at_least=0.7),)),
    Work(
        "metadata",
        "metadata by id, over 100,000 images",
        metadata,
        (_USUAL(at_least=1.8),),
    ),
    *(
        Work(
            f"metadata-cached-{connections}",
            f"metadata, 10,000 of 1,000,000 images, {connections} at once",
            partial(cached_reads.metadata, connections=connections),
            (_CACHE(), _CACHE(unit=cached_reads.CPU), _CACHE(unit=cached_reads.OF_DATABASE)),
        )
        for connections in (4, 32)
    ),
    Work(
        "upload-small",
        "upload 42 KB, durable",
        partial(upload, spec=SMALL),
        (_USUAL(at_least=1.8), _CEILING),
    ),
    Work(
        "upload-large",
        "upload 947 KB, durable",
        partial(upload, spec=LARGE),
        (_USUAL(at_least=1.8), _CEILING),
    ),
    Work(
        "upload-huge",
        "upload 20 MiB, durable, 4 connections",
        partial(upload, spec=HUGE, connections=4),
        (_USUAL(at_least=1.5), _CEILING),
    ),
    Work(
        "list",
        "list of 20, of 1,000,000 images",
        list_pages,
        (Comparison("page at row 500,000", "first page", at_least=1 / 1.2),),
    ),
    Work("start", "start", start, (Comparison("1,000,000 images", "no images", unit="s"),)),
    Work(
        "memory",
        "peak RSS, 32 uploads at once",
        memory,
        (Comparison("20 MiB each", "100 KiB each", at_most=1.25, unit="MiB"),),
    ),
    Work(
        "workers",
        "download 42 KB, hot, 2 workers",
        workers,
        (
            Comparison("2 workers", "1 worker"),
            Comparison("2 workers", "1 worker", unit=CORES),
        ),
    ),
    Work(
        "latency",
        "320 downloads/s beside uploads of 20 MiB",
        latency,
        (
            Comparison("beside 16 uploads", "no uploads", at_most=3, unit="p99 ms"),
            Comparison("beside 16 uploads", "no uploads", unit="p50 ms"),
        ),
    ),
    Work(
        "quota-upload",
        "upload 42 KB, of one address",
        quota.upload,
        (Comparison("a quota", "no quota", at_least=0.9),),
    ),
    Work(
        "quota-list",
        "list of 20 beside 60 uploads of one address",
        quota.list_beside,
        (
            Comparison("a quota", "no quota", at_most=1.5, unit="p50 ms"),
            Comparison("a quota used up", "no quota", unit="p50 ms"),
        ),
    ),
    Work(
        "quota-users",
        "upload 42 KB, 64 at once, 2 server processes",
        quota.upload_of_users,
        (
            Comparison(quota.ONE_USER, quota.MANY_USERS, at_least=0.9),
            Comparison(quota.MANY_USERS, quota.NOBODY),
        ),
    ),
    Work(
        "strip-upload-small",
        "upload 42 KB, without its metadata",
        partial(stripping.upload, spec=SMALL),
        (_STRIPPING,),
    ),
    Work(
        "strip-upload-large",
        "upload 947 KB, without its metadata",
        partial(stripping.upload, spec=LARGE),
        (_STRIPPING,),
    ),
    Work(
        "render",
        "render a 12-megapixel JPEG, 3 sizes",
        partial(rendering.times, name="JPEG, 12 megapixels"),
        rendering.against(),
    ),
    Work(
        "render-png",
        "render a 4-megapixel PNG, 3 sizes",
        partial(rendering.times, name="PNG, 4 megapixels"),
        rendering.against(),
    ),
    *(
        Work(
            f"render-{kind.lower()}",
            f"render a 12-megapixel {kind}, 3 sizes",
            partial(rendering.times, name=f"{kind}, 12 megapixels", ways=ways),
            rendering.against(ways),
        )
        for kind, ways in _FORMATS.items()
    ),
    Work(
        "render-memory",
        "peak RSS of a worker and its children at 40 megapixels",
        rendering.memory,
        tuple(Comparison(name, rendering.BOUND, at_most=1, unit="MiB") for name in rendering.LARGE),
    ),
    Work(
        "thumbnail-upload-small",
        "upload 42 KB, backlog growing",
        partial(thumbnails.upload, spec=SMALL),
        (_RENDERING,),
    ),
    Work(
        "thumbnail-upload-large",
        "upload 947 KB, backlog growing",
        partial(thumbnails.upload, spec=LARGE),
        (_RENDERING,),
    ),
    Work(
        "thumbnail-ready",
        "thumbnail 300 after 201, one 12-megapixel upload a second",
        thumbnails.ready,
        tuple(
            Comparison(name, thumbnails.BOUND, at_most=1, unit="p95 s")
            for name in ("asked for at once", "named by the row")
        ),
    ),
    Work(
        "thumbnail-hot",
        "download a thumbnail 300, hot",
        thumbnails.download,
        (
            Comparison("thumbnail", "file 42 KB", at_least=1),
            Comparison("thumbnail", "file of its size", at_least=0.9),
        ),
    ),
    Work("front", "download through nginx in front, hot", front.download, front.against()),
    *(
        Work(f"s3-{does}-{name}", f"{does} {size}, in S3", partial(ways, spec=spec), (_DIRECTLY,))
        for does, ways in (("upload", s3.upload), ("download", s3.download))
        for name, size, spec in (("small", "42 KB", SMALL), ("large", "947 KB", LARGE))
    ),
    Work(
        "s3-memory",
        "peak RSS, 32 uploads at once to S3",
        s3.memory,
        (Comparison("20 MiB each", s3.BOUND, at_most=1.1, unit="MiB"),),
    ),
)
