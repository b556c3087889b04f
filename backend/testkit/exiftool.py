"""exiftool, which reads and writes what an image's file says beyond the image."""

import json
import subprocess
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

from testkit.programs import EXIFTOOL

_STRUCTURE = {
    "ExifTool": "ExifToolVersion",
    "Composite": "ImageSize Megapixels",
    "File": "BitsPerSample ColorComponents EncodingProcess ExifByteOrder FileType FileTypeExtension"
    " ImageHeight ImageWidth MIMEType YCbCrSubSampling",
    "PNG": "AnimationFrames AnimationPlays BackgroundColor BitDepth ColorType Compression Filter"
    " Gamma ImageHeight ImageWidth Interlace Palette PaletteHistogram ProfileName SignificantBits"
    " SRGBRendering Transparency",
    "GIF": "AnimationIterations BackgroundColor BitsPerPixel ColorResolutionDepth Duration"
    " FrameCount GIFVersion HasColorMap ImageHeight ImageWidth TransparentColor",
    "RIFF": "AlphaCompression AlphaFiltering AlphaPreprocessing AnimationLoopCount BackgroundColor"
    " Duration HorizontalScale ImageHeight ImageWidth VerticalScale VP8Version WebP_Flags",
}
_STRUCTURAL = {f"{group}:{name}" for group, names in _STRUCTURE.items() for name in names.split()}
"""Tags of what is needed to show an image."""
_STRUCTURAL_GROUPS = ("System:", "JFIF:", "Adobe:", "PNG-pHYs:", "PNG-cICP:")
"""Groups all of whose tags are such; System has what the folder says of the file."""
PROFILE_GROUPS = ("ICC_Profile:", "ICC-")


def read_tags(images: Mapping[str, bytes]) -> dict[str, dict[str, object]]:
    """Return the tags of each image, by its name, and each with its group: `IFD0:Orientation`."""
    with TemporaryDirectory() as folder:
        for name, content in images.items():
            Path(folder, name).write_bytes(content)
        command = [EXIFTOOL, "-json", "-a", "-u", "-U", "-G1", "-ee3", "-n", "."]
        # Its status is 1 if it cannot read one of them; their tags have the error.
        output = subprocess.run(command, cwd=folder, capture_output=True, check=False).stdout
    return {Path(tags.pop("SourceFile")).name: tags for tags in json.loads(output)}


def beyond_the_image(tags: Mapping[str, object]) -> set[str]:
    """Return which of the tags say more than how to show the image."""
    groups = (*_STRUCTURAL_GROUPS, *PROFILE_GROUPS)
    return {tag for tag in tags if not tag.startswith(groups)} - _STRUCTURAL


def with_tags(image: bytes, *options: str) -> bytes:
    """Write tags (`-Artist=…`) into an image."""
    command = [EXIFTOOL, "-m", "-q", *options, "-o", "-", "-"]
    return subprocess.run(command, input=image, capture_output=True, check=True).stdout
