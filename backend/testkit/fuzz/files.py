"""Files put together of parts in any order, whole or changed at random."""

from typing import NamedTuple

import atheris  # type: ignore[import-untyped]

from app.imaging.formats import ImageType
from testkit.fuzz import parts

MAX_BYTES = 4096
MAX_PARTS = 12
MAX_CHANGES = 4
MAX_SINGLE = 256
"""Bytes that come one by one."""


class File(NamedTuple):
    """What is fuzzed with."""

    content: bytes
    is_of_whole_parts: bool
    """So that metadata are nowhere but in parts for metadata; the last one may be cut."""


def draw(provider: atheris.FuzzedDataProvider, kind: ImageType) -> File:
    """Make a file of a type."""
    known = parts.PARTS[kind]
    content = known.start if provider.ConsumeIntInRange(0, 15) else b""
    for _ in range(provider.ConsumeIntInRange(0, MAX_PARTS)):
        content += known.parts[provider.ConsumeIntInRange(0, len(known.parts) - 1)]
    content = content[:MAX_BYTES]
    if provider.ConsumeBool():
        content = known.close(content)
    if provider.ConsumeBool():
        end = provider.ConsumeIntInRange(0, len(content))
        return File(content[:end] if provider.ConsumeBool() else content, is_of_whole_parts=True)
    for _ in range(provider.ConsumeIntInRange(1, MAX_CHANGES)):
        content = _change(provider, content)
    return File(content, is_of_whole_parts=False)


def cut(provider: atheris.FuzzedDataProvider, content: bytes) -> list[bytes]:
    """Cut a file into pieces, as they may come from a client."""
    if not provider.ConsumeIntInRange(0, 7):
        begin = provider.ConsumeIntInRange(0, len(content))
        end = min(begin + MAX_SINGLE, len(content))
        single = [content[at : at + 1] for at in range(begin, end)]
        return [content[:begin], *single, content[end:]]
    first = provider.ConsumeIntInRange(0, len(content))
    second = provider.ConsumeIntInRange(first, len(content))
    return [content[:first], content[first:second], content[second:]]


def _change(provider: atheris.FuzzedDataProvider, content: bytes) -> bytes:
    begin = provider.ConsumeIntInRange(0, len(content))
    end = min(begin + provider.ConsumeIntInRange(0, 64), len(content))
    match provider.ConsumeIntInRange(0, 3):
        case 0:
            return content[:begin] + content[end:]
        case 1:
            return content[:end] + content[begin:]
        case 2:
            new = bytes(provider.ConsumeBytes(end - begin))
            return content[:begin] + new + content[begin + len(new) :]
        case _:
            return content[:begin] + bytes(provider.ConsumeBytes(8)) + content[begin:]
