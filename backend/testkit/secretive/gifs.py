"""GIFs with something in every place that may not pass."""

from testkit.format_samples import gif
from testkit.format_samples.private import SECRET


def gif_extension(label: int, *blocks: bytes) -> bytes:
    """Write an extension of sub-blocks."""
    return b"!" + bytes((label,)) + b"".join(map(_sub_block, blocks)) + b"\0"


def gif_with(*extensions: bytes, content: bytes = b"") -> bytes:
    """Make a GIF with extensions before its first block, and before its end."""
    content = content or gif.animated()
    begin = gif.first_block(content)
    both = b"".join(extensions)
    return content[:begin] + both + content[begin:].removesuffix(b";") + both + b";"


def _sub_block(data: bytes) -> bytes:
    return bytes((len(data),)) + data


def all_secretive() -> dict[str, bytes]:
    """Return GIFs that can be decoded, by name."""
    comment = gif_extension(0xFE, SECRET)
    loop = b"\1\0\0"
    return {
        "comments": gif_with(comment, gif_extension(0xFE, SECRET, SECRET * 13, SECRET)),
        "an extension of a program": gif_with(gif_extension(0xFF, b"SECRETS 1.0", SECRET)),
        "an extension of a longer name": gif_with(gif_extension(0xFF, SECRET, SECRET)),
        "extensions that nobody knows": gif_with(*(gif_extension(n, SECRET) for n in (0, 2, 0xFD))),
        "a text as an image": gif_with(gif_extension(0x01, bytes(12), SECRET)),
        "behind the number of loops": gif_with(
            gif_extension(0xFF, b"NETSCAPE2.0", loop, SECRET, b"\1" + SECRET[:2])
        ),
        "in place of the number of loops": gif_with(gif_extension(0xFF, b"ANIMEXTS1.0", SECRET)),
        "behind the end": gif.animated() + SECRET,
        "another image behind the end": gif.animated() + gif_with(comment),
    }


def all_unreadable() -> dict[str, bytes]:
    """Return another, which decoders refuse."""
    nameless = gif_with(gif_extension(0xFF), gif_extension(0xFE, SECRET))
    return {"an extension of no name": nameless}
