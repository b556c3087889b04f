"""Which files a process has open, as Linux reports it."""

from pathlib import Path


def path_of(descriptor: int) -> Path:
    """Return which file a descriptor of this process is of."""
    return Path(f"/proc/self/fd/{descriptor}").readlink()


def open_descriptors(process: int | str = "self") -> int:
    """Count all of a process."""
    return len(list(Path(f"/proc/{process}/fd").iterdir()))


def open_files_below(folder: Path) -> list[Path]:
    """List the open descriptors of this process that lead into a folder."""
    found = []
    for link in Path("/proc/self/fd").iterdir():
        try:
            target = link.readlink()
        except FileNotFoundError:
            continue
        if target.is_relative_to(folder):
            found.append(target)
    return found
