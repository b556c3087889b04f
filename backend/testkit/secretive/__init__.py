"""Images with something in every place that may not pass when they are stripped."""

from testkit.secretive import gifs, jpegs, pngs, webps

SECRETIVE = {
    **{f"JPEG, {name}": content for name, content in jpegs.SECRETIVE.items()},
    **{f"PNG, {name}": content for name, content in pngs.SECRETIVE.items()},
    **{f"GIF, {name}": content for name, content in gifs.all_secretive().items()},
    **{f"WebP, {name}": content for name, content in webps.all_secretive().items()},
}
"""By name, those that decoders read."""
UNREADABLE = gifs.all_unreadable() | webps.all_unreadable()
"""By name, those that decoders refuse."""
