"""exiftool, which reads and writes what an image's file says beyond the image."""

import json
import subprocess
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

from testkit.programs import EXIFTOOL

STRUCTURE = {
    "ExifTool:ExifToolVersion",
    "Composite:ImageSize",
    "Composite:Megapixels",
    *(
        f"File:{name}"
        for name in (
            "BitsPerSample",
            "ColorComponents",
            "EncodingProcess",
            "ExifByteOrder",
            "FileType",
            "FileTypeExtension",
            "ImageHeight",
            "ImageWidth",
            "MIMEType",
            "YCbCrSubSampling",
        )
    ),
    *(
        f"PNG:{name}"
        for name in (
            "AnimationFrames",
            "AnimationPlays",
            "BackgroundColor",
            "BitDepth",
            "ColorType",
            "Compression",
            "Filter",
            "Gamma",
            "ImageHeight",
            "ImageWidth",
            "Interlace",
            "Palette",
            "PaletteHistogram",
            "ProfileName",
            "SignificantBits",
            "SRGBRendering",
            "Transparency",
        )
    ),
}
"""Tags of what is needed to show an image."""
STRUCTURAL_GROUPS = ("System:", "JFIF:", "Adobe:", "PNG-pHYs:", "PNG-cICP:")
"""Groups all of whose tags are such; System has what the folder says of the file."""
PROFILE_GROUPS = ("ICC_Profile:", "ICC-")


def read_tags(images: Mapping[str, bytes]) -> dict[str, dict[str, object]]:
    """Return the tags of each image, by its name, and each with its group: `IFD0:Orientation`."""
    with TemporaryDirectory() as folder:
        for name, content in images.items():
            Path(folder, name).write_bytes(content)
        command = [EXIFTOOL, "-json", "-a", "-u", "-U", "-G1", "-ee3", "-n", "."]
        output = subprocess.run(command, cwd=folder, capture_output=True, check=True).stdout
    return {Path(tags.pop("SourceFile")).name: tags for tags in json.loads(output)}


def beyond_the_image(tags: Mapping[str, object]) -> set[str]:
    """Return which of the tags say more than how to show the image."""
    groups = (*STRUCTURAL_GROUPS, *PROFILE_GROUPS)
    return {tag for tag in tags if not tag.startswith(groups)} - STRUCTURE


def with_tags(image: bytes, *options: str) -> bytes:
    """Write tags (`-Artist=…`) into an image."""
    command = [EXIFTOOL, "-m", "-q", *options, "-o", "-", "-"]
    return subprocess.run(command, input=image, capture_output=True, check=True).stdout
