"""ThumbHash as the reference computes it (https://github.com/evanw/thumbhash, revision 0.1.1)."""

import pytest

from app.imaging.rendering.thumbhash import encode


@pytest.mark.parametrize(
    ("width", "height", "transparent", "expected"),
    [
        (32, 24, False, "5e180a1d8c4055885478898698678887706a0b8867"),
        (24, 32, False, "5e080a150e507552876997688887778890730d5b8a"),
        (32, 32, True, "5f18860d040740473459b58969240c09943558717685960596"),
        (32, 5, True, "59098611842770a6969878516f088e8907a667a6787877"),
        (1, 1, False, "c3060a570008f708888788708f7088f80888707ff8000000"),
        (1, 32, False, "8ec81d311008857a88878787187077bf88"),
        (32, 1, False, "d4192a798a7587888888088a6388008e27"),
        (100, 75, False, "1f080605827677576758086565546787ed5fb4bc40"),
    ],
)
def test_placeholder_is_that_of_the_reference(
    width: int, height: int, transparent: bool, expected: str
) -> None:
    pixels = bytes(
        value % 256
        for y in range(height)
        for x in range(width)
        for value in (
            x * 7 + y * 3,
            x * x + y * 5,
            x * y + 40,
            x * 11 + y * 13 if transparent else 255,
        )
    )
    assert encode(width, height, pixels).hex() == expected


def test_a_fully_transparent_image_has_a_placeholder() -> None:
    expected = "00088205000000000000000000000000000000000000000000"
    assert encode(16, 16, bytes(16 * 16 * 4)).hex() == expected
