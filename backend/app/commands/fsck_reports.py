"""What `fsck` reports: as text for people, or as JSON for programs."""

import json
import time
from collections import Counter

from tqdm import tqdm

from app.domain.image import StoredFile
from app.services.fsck_findings import Finding, Kind


class Report:
    """Writes each finding as it is found, and the sums at the end."""

    def __init__(self) -> None:
        self.images = 0
        self.last = ""
        """The key that was compared last."""
        self.has_unlisted_uploads = False
        """Whether the storage did not list what uploads have left."""
        self._written = 0
        self.sums = {kind: {"count": 0, "bytes": 0, "repaired": 0} for kind in Kind}
        self._skipped = 0
        self._first_skipped = ""
        self._read = Counter[str]()
        self._begin = time.monotonic()

    @property
    def found(self) -> int:
        """How many findings there are; stale thumbnails are not worth an alarm."""
        return self._written - self.sums[Kind.STALE_THUMBNAIL]["count"]

    @property
    def left(self) -> int:
        """How many of them there still are."""
        repaired = sum(
            sums["repaired"] for kind, sums in self.sums.items() if kind is not Kind.STALE_THUMBNAIL
        )
        return self.found - repaired

    def compared(self, row: StoredFile, *, with_bytes: bool) -> None:
        """Note that an image has been compared, and whether its bytes were."""
        self.images += 1
        self.last = row.key
        if with_bytes and row.checksum:
            self._read += {"files": 1, "bytes": row.size}

    def skip(self, name: str) -> None:
        """Note a name that is not of the service's files."""
        self._skipped += 1
        self._first_skipped = self._first_skipped or _printable(name)

    def add(self, finding: Finding, *, repaired: bool) -> None:
        """Write a finding."""
        self._write(finding, repaired=repaired)
        self._written += 1
        sums = self.sums[finding.kind]
        sums["count"] += 1
        sums["bytes"] += finding.size
        sums["repaired"] += repaired

    def end(self, *, with_bytes: bool) -> None:
        """Write the sums."""
        raise NotImplementedError

    def _write(self, finding: Finding, *, repaired: bool) -> None:
        raise NotImplementedError


class TextReport(Report):
    """A line for each finding."""

    def end(self, *, with_bytes: bool) -> None:
        """Write a line for each kind."""
        for kind, sums in self.sums.items():
            print(f"{kind}: {sums['count']} ({sums['bytes']} bytes), {sums['repaired']} repaired")
        if self.has_unlisted_uploads:
            print(
                f"{Kind.OLD_STAGING_FILE}: unknown, since the store lists no unfinished uploads; "
                "let a lifecycle rule of the bucket abort them (docs/operations.md)"
            )
        if self._skipped:
            print(f"left alone, not of the service: {self._skipped}, such as {self._first_skipped}")
        if with_bytes:
            print(self._reading())
        print(f"{self.images} images compared: {self.found or 'no'} findings")

    def _reading(self) -> str:
        seconds = time.monotonic() - self._begin
        files, size = self._read["files"], self._read["bytes"]
        line = f"{files} files read: {size} bytes, {size / 1e6 / seconds:.1f} MB/s"
        if unknown := self.images - files:
            line += f"; of {unknown} no checksum is known (`make backfill`)"
        return line

    def _write(self, finding: Finding, *, repaired: bool) -> None:
        done = ", repaired" if repaired else ""
        tqdm.write(f"{finding.kind} {finding.key} ({finding.size} bytes){done}")


class JsonReport(Report):
    """One document, written piece by piece, because there may be a million findings."""

    def end(self, *, with_bytes: bool) -> None:
        """Write the end of the document."""
        read = {"read": self._read} if with_bytes else {}
        document = {
            "images": self.images,
            "skipped": self._skipped,
            "sums": self.sums,
            "unlisted_uploads": self.has_unlisted_uploads,
            **read,
        }
        begin = "" if self._written else '{"findings": ['
        print(f"{begin}], {json.dumps(document)[1:]}")

    def _write(self, finding: Finding, *, repaired: bool) -> None:
        begin = ", " if self._written else '{"findings": ['
        item = {"kind": finding.kind, "key": finding.key, "bytes": finding.size}
        print(f"{begin}{json.dumps(item | {'repaired': repaired})}")


def _printable(name: str) -> str:
    """Return a name without control characters, and without bytes that no terminal can print."""
    return name if name.isprintable() else ascii(name)
