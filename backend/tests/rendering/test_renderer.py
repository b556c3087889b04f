"""The processes that render: what happens to them costs one image at most."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from pathlib import Path
from typing import Final

import psutil
import pytest
from PIL import Image

from app.domain.metadata import Metadata
from app.imaging.rendering import child
from app.imaging.rendering.child import Rendition
from app.imaging.rendering.protocol import RenderingFailed, RenderLimits, Unrenderable, parse
from app.imaging.rendering.renderer import Renderer
from app.observability.reasons import reason
from testkit import open_files, samples
from testkit.descriptors import open_descriptors
from testkit.format_samples import heif, picture, private
from testkit.live import TIMEOUT, until
from testkit.processes import assert_ended, has_ended

BACKEND = Path(__file__).parents[2]
SIZES = (150, 300, 800)
LIMITS = RenderLimits(memory_mb=512, seconds=int(TIMEOUT), max_pixels=1_000_000)
JPEG = samples.jpeg()
LARGE = samples.jpeg(1000, 1000, progressive=True, subsampling=0)
"""Of which libjpeg keeps all coefficients, 6 MB."""
BROKEN = b"\xff\xd8\xff\xe0 and nothing more"


@pytest.fixture
async def renderer() -> AsyncIterator[Renderer]:
    renderer = Renderer(LIMITS, SIZES)
    yield renderer
    await renderer.close()


async def render(renderer: Renderer, content: bytes = JPEG) -> Rendition:
    return await open_files.render(renderer, content)


async def extract(renderer: Renderer, content: bytes = JPEG) -> Metadata:
    return await open_files.extract(renderer, content)


def processes() -> list[psutil.Process]:
    """Return the processes that render for this one."""
    found = []
    for process in psutil.Process().children():
        with suppress(psutil.NoSuchProcess):
            if not has_ended(process) and child.MODULE in process.cmdline():
                found.append(process)
    return found


def limits_of(process: psutil.Process) -> dict[str, str]:
    """Return the limits of a process by their names."""
    lines = Path(f"/proc/{process.pid}/limits").read_text().splitlines()
    return {line[:26].strip(): line[26:].split()[0] for line in lines}


async def suspended(
    renderer: Renderer, seconds: int = LIMITS.seconds
) -> tuple[psutil.Process, asyncio.Task[Rendition]]:
    """Return a process that is suspended, and the rendering that it is to do within `seconds`."""
    await render(renderer)
    (process,) = processes()
    process.suspend()
    renderer._limits = LIMITS._replace(seconds=seconds)
    rendering = asyncio.create_task(render(renderer))
    await asyncio.sleep(0)
    return process, rendering


async def test_a_process_is_started_for_the_first_image_and_renders_the_next(
    renderer: Renderer,
) -> None:
    assert processes() == []
    first = await render(renderer)
    before = processes()
    assert await render(renderer) == first
    assert len(before) == 1
    assert processes() == before
    assert first.thumbnails.keys() == set(SIZES)


async def test_images_are_rendered_by_so_many_processes_at_once_and_no_more() -> None:
    renderer = Renderer(LIMITS, SIZES, processes=3)
    await asyncio.gather(*(render(renderer) for _ in range(7)))
    assert len(processes()) == 3
    await renderer.close()


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGABRT, signal.SIGSEGV])
async def test_a_process_that_ends_while_it_renders_costs_that_image_alone(
    renderer: Renderer, number: int
) -> None:
    process, rendering = await suspended(renderer)
    for sent in (number, signal.SIGCONT):
        os.kill(process.pid, sent)
    with pytest.raises(RenderingFailed, match=f"ended with status -{number}") as raised:
        await rendering
    assert reason(raised.value) == str(raised.value), "what the queue records"
    assert_ended([process])
    await render(renderer)


async def test_a_process_that_ended_while_it_was_idle_costs_no_image(renderer: Renderer) -> None:
    await render(renderer)
    (process,) = processes()
    process.kill()
    await until(lambda: renderer._idle[0].has_ended)
    await render(renderer)


async def test_a_process_that_hangs_is_killed_at_its_deadline(renderer: Renderer) -> None:
    process, rendering = await suspended(renderer, seconds=1)
    with pytest.raises(RenderingFailed, match="not rendered after 3 seconds"):
        await rendering
    assert_ended([process])
    renderer._limits = LIMITS
    await render(renderer)


async def test_other_images_are_rendered_while_one_hangs(renderer: Renderer) -> None:
    process, rendering = await suspended(renderer)
    await render(renderer)
    assert not rendering.done()
    process.resume()
    await rendering


async def test_cancellation_ends_the_process_and_frees_its_place() -> None:
    renderer = Renderer(LIMITS, SIZES, processes=1)
    process, rendering = await suspended(renderer)
    rendering.cancel()
    with pytest.raises(asyncio.CancelledError):
        await rendering
    assert_ended([process])
    await render(renderer)
    await renderer.close()


async def test_a_broken_image_ends_its_process_and_no_other_rendering(renderer: Renderer) -> None:
    results = await asyncio.gather(
        *(render(renderer, content) for content in (JPEG, BROKEN, JPEG, BROKEN, JPEG)),
        return_exceptions=True,
    )
    assert [type(result) for result in results] == [
        Rendition,
        Unrenderable,
        Rendition,
        Unrenderable,
        Rendition,
    ]


async def test_a_process_that_lacks_memory_after_other_images_is_replaced(
    renderer: Renderer,
) -> None:
    await render(renderer)
    (used,) = processes()
    left = used.memory_info().vms + (2 << 20)
    used.rlimit(psutil.RLIMIT_AS, (left, left))
    assert (await render(renderer, LARGE)).width == 1000
    assert_ended([used])


LACKING: Final[dict[str, Callable[[], bytes]]] = {
    "JPEG": lambda: samples.jpeg(3000, 3000, progressive=True, subsampling=0),
    "WebP": lambda: picture.save(Image.new("RGB", (3000, 3000)), "WEBP"),
    "AVIF": lambda: heif.avif(Image.new("RGB", (3000, 3000))),
    "HEIC": lambda: heif.heic(Image.new("RGB", (3000, 3000))),
}


@pytest.mark.parametrize("name", LACKING)
async def test_an_image_for_which_a_new_process_lacks_memory_cannot_be_rendered(name: str) -> None:
    renderer = Renderer(LIMITS._replace(memory_mb=84, max_pixels=9_000_000), SIZES)
    with pytest.raises(Unrenderable, match="RENDER_MEMORY_MB"):
        await render(renderer, LACKING[name]())
    assert processes() == []


WITHOUT_THREADS = """
import os, resource, sys
from app.imaging.rendering import thumbnails
thumbnails.prepare()
if os.getuid() == 0:
    os.setuid(65534)  # root is not limited
resource.setrlimit(resource.RLIMIT_NPROC, (0, 0))
print(thumbnails.try_to_render(sys.stdin.fileno(), [150], 1_000_000))
"""


def test_an_image_is_not_called_damaged_where_the_system_has_no_more_threads() -> None:
    with open_files.opened(JPEG) as descriptor:
        program = subprocess.run(  # noqa: S603 - our own program
            [sys.executable, "-c", WITHOUT_THREADS],
            cwd=BACKEND,
            stdin=descriptor,
            capture_output=True,
            text=True,
            check=False,
        )
    assert (program.returncode, program.stdout) == (1, "")
    assert "Error creating thread" in program.stderr


async def test_an_answer_without_an_end_is_not_kept(renderer: Renderer) -> None:
    await render(renderer)
    renderer._idle[0]._reader.feed_data(b"1" * 200_000)
    with pytest.raises(RenderingFailed, match="no end"):
        await render(renderer)
    assert processes() == []


async def test_nothing_stays_open_behind_closed_processes() -> None:
    before = open_descriptors()
    renderer = Renderer(LIMITS, SIZES)
    process, rendering = await suspended(renderer)
    process.kill()
    with pytest.raises(RenderingFailed):
        await rendering
    await render(renderer)
    ended = processes()
    await renderer.close()
    assert_ended(ended)
    await until(lambda: open_descriptors() == before)


async def test_a_terminal_s_signals_do_not_reach_a_process_that_renders(
    renderer: Renderer,
) -> None:
    await render(renderer)
    (process,) = processes()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        process.send_signal(number)
    await render(renderer)
    assert processes() == [process]


async def test_a_process_has_no_secret_no_other_file_and_limits(
    renderer: Renderer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("API_KEY", "secret")
    await render(renderer)
    (process,) = processes()
    assert "secret" not in " ".join(process.environ().values())
    assert open_descriptors(process.pid) == 3
    found = limits_of(process)
    assert found["Max address space"] == str(512 << 20)
    assert found["Max file size"] == found["Max core file size"] == "0"
    assert int(found["Max cpu time"]) >= LIMITS.seconds


async def test_rendering_leaves_the_processor_to_whoever_else_needs_it(renderer: Renderer) -> None:
    await render(renderer)
    (process,) = processes()
    assert os.sched_getscheduler(process.pid) == os.SCHED_IDLE


async def test_a_process_that_cannot_start_fails_the_rendering(
    renderer: Renderer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(child, "MODULE", "app.no_such_module")
    with pytest.raises(RenderingFailed, match="does not start"):
        await render(renderer)


PARENT = """
import asyncio, os, signal, sys
from tests.rendering import test_renderer as t
async def main():
    renderer = t.Renderer(t.LIMITS, t.SIZES)
    process, _ = await t.suspended(renderer)
    print(process.pid, flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
asyncio.run(main())
"""


def test_processes_end_with_a_parent_that_is_killed_also_while_they_render() -> None:
    parent = subprocess.run(  # noqa: S603 - our own program
        [sys.executable, "-c", PARENT], cwd=BACKEND, stdout=subprocess.PIPE, check=False
    )
    assert parent.returncode == -signal.SIGKILL
    with suppress(psutil.NoSuchProcess):
        assert_ended([psutil.Process(int(parent.stdout))])


async def test_an_extraction_and_a_rendering_share_a_process(renderer: Renderer) -> None:
    assert await extract(renderer, samples.jpeg_with(samples.segment(0xE1, private.exif(6)))) == {
        "camera_make": "Acme",
        "camera_model": "Acme One",
        "lens": "Acme 35mm F1.8",
        "software": "Acme OS 7.1",
        "taken_at": "2026-03-04T05:06:07",
        "exposure_time": 0.005,
        "f_number": 2.8,
        "iso": 400,
        "focal_length": 35.0,
        "orientation": 6,
    }
    before = processes()
    assert await render(renderer)
    assert processes() == before


async def test_a_process_that_ends_while_it_extracts_costs_that_image_alone(
    renderer: Renderer,
) -> None:
    await extract(renderer)
    (process,) = processes()
    process.suspend()
    extraction = asyncio.create_task(extract(renderer))
    await asyncio.sleep(0)
    process.kill()
    with pytest.raises(RenderingFailed, match="ended with status -9"):
        await extraction
    assert await extract(renderer) == {}


async def test_metadata_that_cannot_be_read_ends_the_process_that_tried(
    renderer: Renderer,
) -> None:
    await render(renderer)
    before = processes()
    with pytest.raises(Unrenderable, match="metadata cannot be read") as raised:
        await extract(renderer, b"\0\0\0\x14ftypavif\0\0\0\0avif")
    assert raised.value.detail == "SyntaxError: Failed to decode image: Truncated data"
    assert_ended(before)
    assert processes() == []


JUNK = [
    b"",
    b"null",
    b"{}",
    b"[]",
    b"[{}]",
    b'[null, ""]',
    b'[[], ""]',
    b'["text", ""]',
    b'[7, ""]',
    b"[{}, 7]",
    b'[{}, ["detail"]]',
    b'[{}, "", {}]',
    b'[{"iso": ' + b"9" * 5000 + b'}, ""]',
    b'[{"iso": ' + b"[" * 60_000,
    b"\xff\xfe\x00",
]


@pytest.mark.parametrize("line", JUNK)
async def test_a_process_that_answers_junk_fails_the_extraction(
    renderer: Renderer, monkeypatch: pytest.MonkeyPatch, line: bytes
) -> None:
    monkeypatch.setattr(child, "MODULE", "testkit.echoing_renderer")
    with pytest.raises((RenderingFailed, Unrenderable)):
        await extract(renderer, line + b"\n")
    assert processes() == []


async def test_ten_megabytes_of_metadata_are_not_read(
    renderer: Renderer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(child, "MODULE", "testkit.echoing_renderer")
    with pytest.raises(RenderingFailed, match="no end"):
        await extract(renderer, b'[{"software": "' + b"a" * 10_000_000 + b'"}, ""]\n')
    assert processes() == []


async def test_what_a_process_claims_to_have_found_is_checked_again(
    renderer: Renderer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(child, "MODULE", "testkit.echoing_renderer")
    claimed = (
        rb'[{"gps": [48.1, 11.5], "iso": [400], "f_number": NaN, "exposure_time": Infinity, '
        rb'"camera_make": "A\u0000c\ud800m\u202ee\n", "lens": {"a": {"b": 1}}, '
        rb'"orientation": true, "taken_at": "2026-11-24T12:00:00; DROP TABLE images", "software": "'
        + b"a" * 5000
        + b'"}, ""]\n'
    )
    assert await extract(renderer, claimed) == {"camera_make": "A c m e", "software": "a" * 1024}


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"null",
        b"[]",
        b"[64, 48]",
        b'[64, 48, [1, 2], "00", "", ""]',
        b'[64, 48, [1, 2, -3], "00", "", ""]',
        b'[64, 48, [1, 2, 1e300], "00", "", ""]',
        b'[64, 48, [1, 2, 1.5], "00", "", ""]',
        b'[64, 48, [1, 2, NaN], "00", "", ""]',
        b'[64, 48, [1, 2, 99999999999], "00", "", ""]',
        b'[0, 48, [1, 2, 3], "00", "", ""]',
        b'[64, "48", [1, 2, 3], "00", "", ""]',
        b'[64, 48, [1, 2, 3], "xx", "", ""]',
        b'[64, 48, [1, 2, 3], 7, "", ""]',
        b'[64, 48, [1, 2, 3], "00", 5, ""]',
        b'[64, 48, [1, 2, 3], "00", "", "", "more"]',
        b'[64, 48, [1, 2, 3], "' + b"00" * 65 + b'", "", ""]',
        b"[" * 60_000,
    ],
)
def test_an_answer_that_makes_no_sense_is_not_believed(line: bytes) -> None:
    with pytest.raises(RenderingFailed):
        parse(line, SIZES)


def test_a_reason_is_one_line_of_bounded_length() -> None:
    with pytest.raises(Unrenderable) as raised:
        parse(rb'[0, 0, [], "", "a\nb\u0000' + b"c" * 1000 + b'", ""]', SIZES)
    assert str(raised.value) == ("ab" + "c" * 198)
