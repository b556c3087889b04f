"""Photographs made by code: light, shapes and grain as cameras see them, at every shape."""

from collections.abc import Iterator
from io import BytesIO
from itertools import pairwise
from random import Random
from typing import Final, NamedTuple

from PIL import Image, ImageChops, ImageDraw, ImageFilter, ImageOps

LONGEST_SIDE: Final = 1440
"""Pixels."""
SHAPES: Final = (3 / 2, 4 / 3, 2 / 3, 16 / 9, 3 / 4, 1.0, 3 / 2, 9 / 16, 3 / 2, 3.0, 4 / 3)
"""Width by height, in the order in which they are taken."""
DISTINCT: Final = 44
"""Different contents: what they take is the time of making them."""
NAMES: Final = ("DSC_{}.jpg", "IMG_2026{}.jpg", "Köln, Dom und Rhein im Abendlicht {}.jpg")
CAMERAS: Final = (("FUJIFILM", "X-T5"), ("Apple", "iPhone 17 Pro"), ("Canon", "EOS R6"))

Colour = tuple[int, int, int]
SKIES: Final[tuple[tuple[Colour, Colour, Colour], ...]] = (
    ((38, 70, 120), (120, 165, 205), (236, 224, 205)),  # morning
    ((24, 92, 168), (92, 158, 214), (206, 228, 240)),  # noon
    ((48, 36, 84), (196, 88, 84), (250, 190, 110)),  # dusk
    ((6, 10, 28), (18, 30, 66), (58, 74, 110)),  # night
    ((120, 132, 140), (168, 176, 180), (214, 216, 212)),  # clouds
)
GROUNDS: Final[tuple[Colour, ...]] = ((46, 78, 52), (70, 84, 44), (34, 56, 82), (84, 66, 50))


class Photograph(NamedTuple):
    """A file that somebody uploads."""

    name: str
    content: bytes


def photographs(count: int, seed: int = 2026) -> Iterator[Photograph]:
    """Make so many files of `DISTINCT` contents, each time the same.

    Every twentieth content is a PNG with transparency.
    """
    chance = Random(seed)
    contents = [_content(number, chance) for number in range(min(count, DISTINCT))]
    for number in range(count):
        content = contents[number % DISTINCT]
        name = "logo-{}.png" if content.startswith(b"\x89PNG") else NAMES[number % len(NAMES)]
        yield Photograph(name.format(4000 + number), content)


def _content(number: int, chance: Random) -> bytes:
    if number % 20 == 7:
        return _logo(chance)
    ratio = SHAPES[number % len(SHAPES)]
    size = round(LONGEST_SIDE * min(ratio, 1)), round(LONGEST_SIDE / max(ratio, 1))
    scene = (_hills, _flowers, _city, _hills)[chance.randrange(4)]
    return _jpeg(_grained(scene(size, chance)), chance)


def _jpeg(image: Image.Image, chance: Random) -> bytes:
    """Write it with what a camera says of itself."""
    exif = Image.Exif()
    exif[0x010F], exif[0x0110] = chance.choice(CAMERAS)
    exif.get_ifd(0x8769).update(
        {
            0x9003: f"2026:{chance.randint(1, 11):02}:{chance.randint(1, 28):02} 16:20:00",
            0x829A: chance.choice((0.004, 0.0166, 0.001)),
            0x829D: chance.choice((1.8, 2.8, 5.6)),
            0x8827: chance.choice((100, 400, 1600)),
            0x920A: chance.choice((24.0, 35.0, 85.0)),
        }
    )
    file = BytesIO()
    image.save(file, "JPEG", quality=88, exif=exif)
    return file.getvalue()


def _sky(size: tuple[int, int], sky: tuple[Colour, Colour, Colour]) -> Image.Image:
    gradient = Image.linear_gradient("L").resize(size)
    high, middle, low = (f"rgb{colour}" for colour in sky)
    return ImageOps.colorize(gradient, high, low, middle)


def _light(image: Image.Image, chance: Random) -> Image.Image:
    """Add a sun, or a lamp, with its glow."""
    width, height = image.size
    reach = round(max(width, height) * chance.uniform(0.5, 1.2))
    disc = Image.radial_gradient("L").resize((reach, reach))  # 179 in the middles of its sides
    glow = ImageOps.colorize(
        disc.point(lambda value: max(179 - value, 0) ** 2 // 150), "black", "#ffd9a0"
    )
    layer = Image.new("RGB", image.size)
    x, y = chance.randrange(width), chance.randrange(height // 2 + 1)
    layer.paste(glow, (x - reach // 2, y - reach // 2))
    return ImageChops.screen(image, layer)


def _hills(size: tuple[int, int], chance: Random) -> Image.Image:
    """Draw ridges behind one another, the farther the paler."""
    sky = chance.choice(SKIES)
    image = _light(_sky(size, sky), chance)
    ground = chance.choice(GROUNDS)
    width, height = size
    ridges = 5
    for ridge in range(ridges):
        nearness = (ridge + 1) / ridges
        mixed = [round(a + (b - a) * nearness) for a, b in zip(sky[2], ground, strict=True)]
        base = height * (0.42 + 0.13 * ridge)
        heights = _ridge(chance, 65, height * 0.16 * (1.2 - nearness / 2))
        points = [(i * width / 64, base - above) for i, above in enumerate(heights)]
        layer = Image.new("L", size)
        ImageDraw.Draw(layer).polygon([(0, height), *points, (width, height)], fill=255)
        layer = layer.filter(ImageFilter.GaussianBlur(1 + 2 * (1 - nearness)))
        image.paste(Image.new("RGB", size, tuple(mixed)), mask=layer)
    return image


def _ridge(chance: Random, count: int, most: float) -> list[float]:
    """Displace midpoints: the heights of a ridge, in pixels."""
    heights = [chance.uniform(0, most), chance.uniform(0, most)]
    spread = most
    while len(heights) < count:
        middles = [(a + b) / 2 + chance.uniform(-spread, spread) / 2 for a, b in pairwise(heights)]
        heights = [h for pair in zip(heights, middles, strict=False) for h in pair] + heights[-1:]
        spread *= 0.55
    return heights


def _flowers(size: tuple[int, int], chance: Random) -> Image.Image:
    """Draw flowers before a meadow that is out of focus."""
    dark = chance.choice(GROUNDS)
    bright = (min(dark[0] + 90, 255), min(dark[1] + 100, 255), dark[2] + 40)
    image = _sky(size, (bright, dark, (dark[0] // 2, dark[1] // 2, dark[2] // 2)))
    draw = ImageDraw.Draw(image, "RGBA")
    width, height = size
    for _ in range(60):
        x, y, r = chance.randrange(width), chance.randrange(height), chance.randint(20, 110)
        draw.ellipse((x - r, y - r, x + r, y + r), fill=(*_petal(chance), 60))
    image = image.filter(ImageFilter.GaussianBlur(14))
    draw = ImageDraw.Draw(image, "RGBA")
    for _ in range(chance.randint(3, 7)):
        x, y, r = chance.randrange(width), chance.randrange(height), chance.randint(50, 150)
        colour = _petal(chance)
        draw.line((x, y, x + r // 3, height), fill=(40, 90, 40), width=max(r // 12, 2))
        for turn in range(9):
            petal = Image.new("RGBA", (2 * r, 2 * r))
            box = (r - r // 5, r // 10, r + r // 5, r)
            shade = tuple(max(0, value - 12 * (turn % 3)) for value in colour)
            ImageDraw.Draw(petal).ellipse(box, fill=(*shade, 255))
            petal = petal.rotate(turn * 40, Image.Resampling.BICUBIC)
            image.paste(petal, (x - r, y - r), petal)
        draw.ellipse((x - r // 5, y - r // 5, x + r // 5, y + r // 5), fill=(228, 180, 60))
    return image.filter(ImageFilter.GaussianBlur(0.8))


def _petal(chance: Random) -> Colour:
    return chance.choice(
        ((226, 92, 112), (240, 200, 90), (210, 160, 220), (246, 240, 236), (232, 128, 70))
    )


def _city(size: tuple[int, int], chance: Random) -> Image.Image:
    """Draw houses with windows, some of them lit."""
    sky = chance.choice(SKIES)
    image = _light(_sky(size, sky), chance)
    width, height = size
    for row, shade in enumerate((0.75, 0.5, 0.3)):
        draw = ImageDraw.Draw(image)
        x = -chance.randrange(60)
        while x < width:
            house = chance.randint(60, 190)
            top = height * (0.25 + 0.18 * row) + chance.randrange(max(height // 4, 1))
            wall = tuple(round(value * shade) for value in sky[1])
            draw.rectangle((x, top, x + house, height), fill=wall)
            for wx in range(x + 10, x + house - 14, 22):
                for wy in range(round(top) + 12, height, 30):
                    lit = chance.random() < 0.35
                    colour = (250, 214, 140) if lit else tuple(value * 4 // 5 for value in wall)
                    draw.rectangle((wx, wy, wx + 9, wy + 14), fill=colour)
            x += house + chance.randrange(14)
        image = image.filter(ImageFilter.GaussianBlur(1.4 - 0.6 * row))
    return image


def _grained(image: Image.Image) -> Image.Image:
    """Add the grain of a sensor, finer and coarser."""
    for grain, weight in ((1, 0.06), (8, 0.08), (48, 0.12)):
        small = max(image.width // grain, 1), max(image.height // grain, 1)
        noise = Image.effect_noise(small, 70).resize(image.size).convert("RGB")
        image = Image.blend(image, ImageChops.overlay(image, noise), weight)
    return image


def _logo(chance: Random) -> bytes:
    """Draw something on no ground at all."""
    image = Image.new("RGBA", (900, 600))
    draw = ImageDraw.Draw(image)
    colour = _petal(chance)
    draw.rounded_rectangle((120, 140, 520, 460), 60, fill=(*colour, 255))
    draw.ellipse((400, 120, 780, 500), fill=(*colour[::-1], 150))
    draw.ellipse((510, 230, 670, 390), fill=(0, 0, 0, 0))
    file = BytesIO()
    image.filter(ImageFilter.GaussianBlur(1)).save(file, "PNG")
    return file.getvalue()
