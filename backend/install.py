"""Install a lock file by pip, and show how far that is: python install.py LOCK [OPTIONS OF PIP].

On a terminal one line, written again and again; elsewhere a line every few seconds. Of pip's own
words only errors are shown. Needs nothing but the standard library.
"""

import re
import subprocess
import sys
import time
from pathlib import Path

SECONDS_BETWEEN_LINES = 5.0


class Progress:
    """Shows what is being done."""

    def __init__(self) -> None:
        self._is_terminal = sys.stdout.isatty()
        self._next = time.monotonic()

    def show(self, line: str, *, always: bool = False) -> None:
        """Show a line; elsewhere than on a terminal not more often than is pleasant."""
        if self._is_terminal:
            sys.stdout.write(f"\r\033[K  {line}")
        elif always or time.monotonic() >= self._next:
            sys.stdout.write(f"  {line}\n")
            self._next = time.monotonic() + SECONDS_BETWEEN_LINES
        sys.stdout.flush()

    def end(self, line: str) -> None:
        """Show the last line."""
        self.show(line, always=True)
        if self._is_terminal:
            sys.stdout.write("\n")


def main(lock: str, *options: str) -> int:
    """Install; return pip's exit status."""
    count = len(re.findall(r"^[a-z0-9]", Path(lock).read_text(), re.MULTILINE))
    command = [sys.executable, "-m", "pip", "install", "--disable-pip-version-check"]
    command += ["--no-input", "--progress-bar=off", "--requirement", lock, *options]
    progress = Progress()
    begin = time.monotonic()
    progress.show(f"asking for up to {count} packages", always=True)
    found = 0
    with subprocess.Popen(  # noqa: S603 - our own arguments
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace"
    ) as pip:
        for line in pip.stdout or ():
            if package := re.match(r"(?:Collecting|Processing) (?:\S*/)?(\S+)", line):
                found += 1
                name = re.split(r"-(?:cp|py)\d", package[1])[0]
                progress.show(f"package {found} of up to {count}: {name}")
            elif line.startswith("Installing collected packages"):
                progress.show(f"unpacking {found} packages", always=True)
            elif "Retrying" in line:
                progress.show("no answer yet; trying again")
            elif line.startswith("ERROR"):
                progress.end(line.strip())
    seconds = time.monotonic() - begin
    outcome = f"not installed; pip ended with status {pip.returncode}"
    progress.end(outcome if pip.returncode else f"{found} packages installed in {seconds:.0f} s")
    return pip.returncode


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
