"""An image host that people trust with their images."""

from typing import Final

__version__: Final = "0.1.0"
