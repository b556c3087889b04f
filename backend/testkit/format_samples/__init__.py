"""Files of each accepted type with each trait that they have in real life, made by real encoders.

All show the same picture (`picture.upright`), upright, in 128 by 96 pixels, so that one comparison
serves all. What people may want removed holds `private.SECRET`.
"""

from functools import cache

from testkit.format_samples import gif, heif, jpeg, png, webp
from testkit.format_samples.sample import Sample


@cache
def all_samples() -> dict[str, Sample]:
    """Return all samples by name, such as "jpeg orientation 6"."""
    makers = (jpeg, png, gif, webp, heif)
    return {sample.name: sample for maker in makers for sample in maker.all_samples()}


def named(name: str) -> Sample:
    """Return a sample by its name."""
    return all_samples()[name]
