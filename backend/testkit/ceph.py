"""Ceph from Debian: a real store with the S3 interface, all its files in a folder of its own."""

import secrets
import subprocess
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final, Literal, Self
from urllib.parse import quote
from xml.etree import ElementTree as ET

import httpx
from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from app.config.storage_url import DEFAULT_REGION
from testkit.daemons import Daemon, lasting_port
from testkit.live import TIMEOUT, wait_until

Store = Literal["memstore", "bluestore"]
"""Where objects are: in memory until it ends, or on disk, where they outlive `kill -9`."""

_CONFIGURATION: Final = """
[global]
fsid = {cluster}
mon host = {monitor}
public addr = 127.0.0.1
ms bind msgr1 = false
ms mon client mode = crc
ms mon cluster mode = crc
ms mon service mode = crc
auth cluster required = none
auth service required = none
auth client required = none
auth allow insecure global id reclaim = true
run dir = {folder}
admin socket =
pid file =
log file = {folder}/$name.log
crash dir = {folder}
mon data = {folder}/mon
mon data avail crit = 0
mon allow pool size one = true
paxos propose interval = 0.02
paxos min wait = 0.01
osd data = {folder}/osd
osd objectstore = {store}
osd pool default size = 1
osd pool default min size = 1
osd pool default pg num = 1
osd pool default pgp num = 1
osd pool default pg autoscale mode = off
osd op num shards = 2
osd mclock skip benchmark = true
bluestore block size = 10737418240
bluestore cache autotune = false
bluestore cache size = 33554432
bluestore prefer deferred size = 0
bluestore prefer deferred size hdd = 0
bluestore prefer deferred size ssd = 0
rgw data = {folder}/rgw
rgw frontends = beast endpoint=127.0.0.1:{port} tcp_nodelay=1
rgw thread pool size = 64
rgw rados pool pg num min = 1
rgw override bucket index max shards = 1
rgw dynamic resharding = false
client notify timeout = 1
rgw max notify retries = 0
rgw gc obj min wait = 1
rgw gc processor period = 2
rgw gc processor max time = 2
"""


class Ceph:
    """A cluster of one monitor, one OSD (which keeps the objects) and one gateway (S3).

    Args:
        folder: Where all its files are.
        store: How the OSD keeps objects.
    """

    def __init__(self, folder: Path, store: Store = "memstore") -> None:
        self._folder = folder
        self._configuration = folder / "ceph.conf"
        self._monitor_address = f"v2:127.0.0.1:{lasting_port()}"
        port = lasting_port()
        self._cluster = str(uuid.uuid4())
        self._configuration.write_text(
            _CONFIGURATION.format(
                cluster=self._cluster,
                monitor=self._monitor_address,
                folder=folder,
                store=store,
                port=port,
            )
        )
        self.endpoint = f"http://127.0.0.1:{port}"
        self.access_key = secrets.token_hex(10)
        self.secret_key = secrets.token_hex(20)
        self.monitor = self._daemon("ceph-mon", "-i", "a")
        self.osd = self._daemon("ceph-osd", "-i", "0")
        self.gateway = self._daemon("radosgw", "-n", "client.rgw")

    def start(self) -> Self:
        """Make the cluster and its only user, and wait until the gateway answers."""
        self._make_monitor()
        self.monitor.start()
        (self._folder / "osd").mkdir()
        self._run("ceph-osd", "-i", "0", "--mkfs", "--osd-uuid", str(uuid.uuid4()))
        self.osd.start()
        wait_until(lambda: " 1 up " in self._run("ceph", "osd", "stat"))  # else it waits 5 seconds
        self.start_gateway()
        self.add_user("image-host", self.access_key, self.secret_key)
        return self

    def start_gateway(self) -> None:
        """Start the gateway, and wait until it answers, which it does as soon as the OSD does."""
        self.gateway.start()
        wait_until(self._answers)

    def end(self) -> None:
        """End all of it at once: nobody needs its files any more."""
        for daemon in (self.gateway, self.osd, self.monitor):
            daemon.kill()

    def add_user(self, name: str, access_key: str, secret_key: str) -> None:
        """Make a user with keys."""
        keys = (f"--access-key={access_key}", f"--secret-key={secret_key}")
        self._run(
            "radosgw-admin", "user", "create", f"--uid={name}", f"--display-name={name}", *keys
        )

    def make_bucket(self) -> str:
        """Make a bucket with a name that no other has; return the name."""
        name = f"test-{secrets.token_hex(6)}"
        self.ask("PUT", name)
        return name

    def limit(self, bucket: str, size: int) -> None:
        """Let a bucket hold no more than some bytes from now on; -1 = as many as there are."""
        which = ("--quota-scope=bucket", f"--bucket={bucket}")
        self._run("radosgw-admin", "quota", "set", *which, f"--max-size={size}")
        self._run("radosgw-admin", "quota", "enable", *which)

    def url(self, bucket: str, prefix: str = "") -> str:
        """Return the STORAGE_URL of a bucket."""
        return f"s3://{bucket}/{prefix}?endpoint={self.endpoint}"

    def settings(self, bucket: str) -> dict[str, str]:
        """Return the settings of a service that stores its images in a bucket."""
        return {
            "STORAGE_URL": self.url(bucket),
            "AWS_ACCESS_KEY_ID": self.access_key,
            "AWS_SECRET_ACCESS_KEY": self.secret_key,
        }

    def ask(
        self, method: str, path: str, content: bytes = b"", headers: Mapping[str, str] = {}
    ) -> httpx.Response:
        """Send one request past the service, of the bucket's owner, and expect a success.

        Args:
            method: Of HTTP.
            path: Bucket, key and query, such as `bucket/key?uploadId=1`.
            content: The body.
            headers: Those of S3, such as `Content-MD5`.
        """
        request = AWSRequest(method, f"{self.endpoint}/{path}", dict(headers), content)
        credentials = Credentials(self.access_key, self.secret_key)
        S3SigV4Auth(credentials, "s3", DEFAULT_REGION).add_auth(request)
        answer = httpx.request(
            method,
            f"{self.endpoint}/{path}",
            headers=dict(request.headers.items()),
            content=content,
            timeout=TIMEOUT,
        )
        assert answer.is_success, answer.text
        return answer

    def keys(self, bucket: str) -> list[str]:
        """List the keys of all objects of a bucket."""
        keys: list[str] = []
        while more := self._texts(f"{bucket}?marker={quote(keys[-1], '') if keys else ''}", "Key"):
            keys += more
        return keys

    def uploads(self, bucket: str) -> list[str]:
        """List the keys of the first thousand unfinished uploads to a bucket."""
        return self._texts(f"{bucket}?uploads", "Key")

    def _texts(self, path: str, tag: str) -> list[str]:
        document = ET.fromstring(self.ask("GET", path).content)  # noqa: S314 - our store
        return [element.text or "" for element in document.findall(f".//{{*}}{tag}")]

    def _make_monitor(self) -> None:
        """Make its store with the map of a cluster whose only OSD registers itself."""
        (self._folder / "mon").mkdir()
        monitors, devices = self._folder / "monitors", self._folder / "devices"
        address = f"[{self._monitor_address}]"
        self._run(
            "monmaptool", "--create", "--fsid", self._cluster, "--addv", "a", address, monitors
        )
        self._run("osdmaptool", "--createsimple", "1", devices)
        maps = ("--monmap", monitors, "--osdmap", devices)
        self._run("ceph-mon", "-i", "a", "--mkfs", *maps)

    def _daemon(self, program: str, *arguments: str) -> Daemon:
        command = (program, "-f", "-c", str(self._configuration), *arguments)
        return Daemon(command, self._folder / f"{program}.output")

    def _run(self, program: str, *arguments: str | Path) -> str:
        command = [program, "-c", self._configuration, *arguments]
        if program.endswith("tool"):  # which edits a file, and reads no configuration
            command = [program, *arguments]
        run = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT, check=False)
        assert run.returncode == 0, run.stderr
        return run.stdout

    def _answers(self) -> bool:
        assert self.gateway.is_running, "the gateway has ended; its log says why"
        try:
            httpx.get(self.endpoint, timeout=1)
        except httpx.TransportError:
            return False
        return True


@contextmanager
def running_ceph(folder: Path, store: Store = "memstore") -> Iterator[Ceph]:
    """Run a Ceph during the block."""
    ceph = Ceph(folder, store)
    try:
        yield ceph.start()
    finally:
        ceph.end()
