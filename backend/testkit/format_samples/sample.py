"""What a sample is: a file of a format with a trait, and what is true of it."""

from typing import NamedTuple

from app.imaging.formats import ImageType
from testkit.format_samples.picture import SIZE


class Sample(NamedTuple):
    """A file. Unless it says otherwise, viewers show `picture.upright()` in it."""

    image_type: ImageType
    trait: str
    """By which a row of the table in docs/formats.md is found, such as "orientation"."""
    content: bytes
    variant: str = ""
    """Distinguishes samples of one format and trait, such as the eight orientations."""
    size: tuple[int, int] = SIZE
    """Width and height in pixels, as viewers show it."""
    extension: str = ""
    """Of its name, where that is not the one of its type."""

    @property
    def name(self) -> str:
        """Its own among all samples."""
        words = (self.image_type.removeprefix("image/"), self.trait, self.variant)
        return " ".join(filter(None, words))

    @property
    def filename(self) -> str:
        """A name under which people would upload it."""
        return self.name.replace(" ", "-") + (self.extension or self.image_type.extension)
