"""How processes end their work on an image is counted."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Final

import pytest
from prometheus_client import CollectorRegistry

from app.imaging.rendering import child
from app.imaging.rendering.protocol import RenderingFailed, RenderLimits, Unrenderable
from app.imaging.rendering.renderer import Renderer
from app.observability.metrics.observer import MetricsObserver
from testkit import open_files, samples
from testkit.live import TIMEOUT

LIMITS: Final = RenderLimits(memory_mb=512, seconds=int(TIMEOUT), max_pixels=9_000_000)
JPEG: Final = samples.jpeg()


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()


@pytest.fixture
async def renderer(registry: CollectorRegistry) -> AsyncIterator[Renderer]:
    renderer = Renderer(LIMITS, (150,), observer=MetricsObserver(registry))
    yield renderer
    await renderer.close()


async def render(renderer: Renderer, content: bytes = JPEG) -> None:
    with suppress(RenderingFailed, Unrenderable, asyncio.CancelledError):
        await open_files.render(renderer, content)


def ends(registry: CollectorRegistry) -> dict[str, float]:
    return {
        sample.labels["end"]: sample.value
        for metric in registry.collect()
        for sample in metric.samples
        if sample.name == "image_host_render_children_total"
    }


async def test_images_that_are_rendered_or_cannot_be(
    renderer: Renderer, registry: CollectorRegistry
) -> None:
    for _ in range(2):
        await render(renderer)
    assert ends(registry) == {"done": 2}
    await render(renderer, b"\xff\xd8\xff\xe0 and nothing more")
    assert ends(registry) == {"done": 2, "unrenderable": 2}, "tried again in a new process"


async def test_an_image_that_needs_more_memory_than_it_may_take(
    renderer: Renderer, registry: CollectorRegistry
) -> None:
    renderer._limits = LIMITS._replace(memory_mb=96)
    await render(renderer, samples.jpeg(3000, 3000, progressive=True, subsampling=0))
    assert ends(registry) == {"killed_memory": 1}


@pytest.mark.parametrize(
    ("number", "end"),
    [
        (signal.SIGKILL, "killed_memory"),
        (signal.SIGXCPU, "killed_time"),
        (signal.SIGSEGV, "crashed"),
    ],
)
async def test_a_process_that_a_signal_ends(
    renderer: Renderer, registry: CollectorRegistry, number: signal.Signals, end: str
) -> None:
    await render(renderer)
    pid = renderer._idle[0].pid
    os.kill(pid, signal.SIGSTOP)
    rendering = asyncio.create_task(render(renderer))
    await asyncio.sleep(0)
    for sent in (number, signal.SIGCONT):
        os.kill(pid, sent)
    await rendering
    assert ends(registry) == {"done": 1, end: 1}


async def test_a_process_that_hangs_or_is_not_waited_for(
    renderer: Renderer, registry: CollectorRegistry
) -> None:
    await render(renderer)
    os.kill(renderer._idle[0].pid, signal.SIGSTOP)
    renderer._limits = LIMITS._replace(seconds=1)
    await render(renderer)
    assert ends(registry) == {"done": 1, "killed_time": 1}
    renderer._limits = LIMITS
    await render(renderer)
    os.kill(renderer._idle[0].pid, signal.SIGSTOP)
    rendering = asyncio.create_task(render(renderer))
    await asyncio.sleep(0)
    rendering.cancel()
    await rendering
    assert ends(registry) == {"done": 2, "killed_time": 1, "cancelled": 1}


async def test_a_process_that_does_not_start(
    renderer: Renderer, registry: CollectorRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(child, "MODULE", "app.no_such_module")
    await render(renderer)
    assert ends(registry) == {"not_started": 1}
