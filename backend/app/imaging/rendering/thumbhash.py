"""ThumbHash: an image in about 25 bytes, shown blurred until its thumbnail has come.

Ported from https://github.com/evanw/thumbhash (revision 0.1.1), which is

    MIT License, Copyright (c) 2023 Evan Wallace

    Permission is hereby granted, free of charge, to any person obtaining a copy of this software
    and associated documentation files (the "Software"), to deal in the Software without
    restriction, including without limitation the rights to use, copy, modify, merge, publish,
    distribute, sublicense, and/or sell copies of the Software, and to permit persons to whom the
    Software is furnished to do so, subject to the following conditions:

    The above copyright notice and this permission notice shall be included in all copies or
    substantial portions of the Software.

    THE SOFTWARE IS PROVIDED "AS IS", WITHOUT WARRANTY OF ANY KIND, EXPRESS OR IMPLIED, INCLUDING
    BUT NOT LIMITED TO THE WARRANTIES OF MERCHANTABILITY, FITNESS FOR A PARTICULAR PURPOSE AND
    NONINFRINGEMENT. IN NO EVENT SHALL THE AUTHORS OR COPYRIGHT HOLDERS BE LIABLE FOR ANY CLAIM,
    DAMAGES OR OTHER LIABILITY, WHETHER IN AN ACTION OF CONTRACT, TORT OR OTHERWISE, ARISING FROM,
    OUT OF OR IN CONNECTION WITH THE SOFTWARE OR THE USE OR OTHER DEALINGS IN THE SOFTWARE.
"""

from collections.abc import Sequence
from math import cos, pi
from operator import mul
from typing import Final, NamedTuple

LONGEST_SIDE: Final = 32
"""Pixels that an image needs at most; more of them change next to nothing."""


class _Channel(NamedTuple):
    """A channel as waves: its mean, the varying terms from 0 to 1, and what those are scaled by."""

    mean: float
    varying: Sequence[float]
    scale: float


def encode(width: int, height: int, rgba: bytes) -> bytes:
    """Return the ThumbHash of an image.

    Args:
        width: In pixels, as `height`.
        height: The time grows with the product of both.
        rgba: Four bytes a pixel, row by row, not premultiplied.
    """
    red, green, blue = ([value / 255 for value in rgba[band::4]] for band in range(3))
    alpha = [value / 255 for value in rgba[3::4]]
    opacity = sum(alpha)
    has_alpha = opacity < width * height
    if has_alpha:  # lay the image over its mean colour
        red, green, blue = (_over_mean(band, alpha, opacity) for band in (red, green, blue))
    light = [(r + g + b) / 3 for r, g, b in zip(red, green, blue, strict=True)]
    yellow_blue = [(r + g) / 2 - b for r, g, b in zip(red, green, blue, strict=True)]
    red_green = [r - g for r, g in zip(red, green, strict=True)]

    most = 5 if has_alpha else 7
    longest = max(width, height)
    across, down = (max(1, _round(most * side / longest)) for side in (width, height))
    l = _encode_channel(light, width, max(3, across), max(3, down))  # noqa: E741 - the format's names
    p = _encode_channel(yellow_blue, width, 3, 3)
    q = _encode_channel(red_green, width, 3, 3)
    is_landscape = width > height
    header = (
        _round(63 * l.mean)
        | _round(31.5 + 31.5 * p.mean) << 6
        | _round(31.5 + 31.5 * q.mean) << 12
        | _round(31 * l.scale) << 18
        | has_alpha << 23
        | (down if is_landscape else across) << 24
        | _round(63 * p.scale) << 27
        | _round(63 * q.scale) << 33
        | is_landscape << 39
    ).to_bytes(5, "little")
    varying = [*l.varying, *p.varying, *q.varying]
    if has_alpha:
        a = _encode_channel(alpha, width, 5, 5)
        header += bytes([_round(15 * a.mean) | _round(15 * a.scale) << 4])
        varying += a.varying
    halves = [*(_round(15 * value) for value in varying), 0]
    pairs = zip(halves[::2], halves[1::2], strict=False)
    return header + bytes(low | high << 4 for low, high in pairs)


def _over_mean(band: Sequence[float], alpha: Sequence[float], opacity: float) -> list[float]:
    mean = sum(map(mul, band, alpha)) / opacity if opacity else 0.0
    return [mean * (1 - a) + value * a for value, a in zip(band, alpha, strict=True)]


def _encode_channel(values: Sequence[float], width: int, across: int, down: int) -> _Channel:
    """Return the lowest terms of a two-dimensional DCT: first of each row, then of its results."""
    height = len(values) // width
    rows = [values[begin : begin + width] for begin in range(0, len(values), width)]
    columns = [[sum(map(mul, row, wave)) for row in rows] for wave in _waves(width, across)]
    terms = [
        sum(map(mul, columns[x], wave)) / len(values)
        for y, wave in enumerate(_waves(height, down))
        for x in range(across)
        if x * down < across * (down - y)
    ]
    mean, *varying = terms
    scale = max(map(abs, varying))
    if scale:
        varying = [0.5 + 0.5 / scale * value for value in varying]
    return _Channel(mean, varying, scale)


def _waves(length: int, count: int) -> list[list[float]]:
    return [[cos(pi / length * n * (x + 0.5)) for x in range(length)] for n in range(count)]


def _round(value: float) -> int:
    """Round halves up, as JavaScript does."""
    return int(value + 0.5)
