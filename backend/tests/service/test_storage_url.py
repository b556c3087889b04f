"""The commands with a storage that STORAGE_URL names: how they start, and what they say."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from sqlalchemy.engine import URL

from app.storage.s3.marking import NAME
from testkit.ceph import Ceph
from testkit.programs import needs_ceph, needs_openssl
from testkit.service import BACKEND, refused_start
from testkit.tls import in_front_of, make_certificate

WITHOUT_AIOHTTP = """
import runpy, sys
sys.modules["aiohttp"] = None
runpy.run_module("app", run_name="__main__", alter_sys=True)
"""
"""`python -m app` where the packages of S3 are not installed."""


def run_fsck(
    database_url: URL, folder: Path, settings: Mapping[str, str], *arguments: str
) -> "subprocess.CompletedProcess[str]":
    address = database_url.set(drivername="postgresql").render_as_string(hide_password=False)
    own = {"DATABASE_URL": address, "DATA_DIR": str(folder / "data"), **settings}
    return subprocess.run(  # noqa: S603
        [sys.executable, "-m", "app", "fsck", "--grace", "0", *arguments],
        cwd=BACKEND,
        env=os.environ | own,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("command", [(), ("worker",), ("fsck",)])
def test_without_the_packages_a_start_says_how_they_are_installed(
    command: tuple[str, ...], database_url: URL, tmp_path: Path
) -> None:
    program = ("-c", WITHOUT_AIOHTTP, *command)
    line = refused_start(database_url, tmp_path, *program, STORAGE_URL="s3://bucket")
    assert line.endswith("STORAGE_URL needs the packages aiohttp and botocore: make s3\n")


@needs_ceph
def test_a_bucket_in_use_is_not_given_to_a_new_embedded_database(
    database_url: URL, tmp_path: Path, ceph: Ceph, bucket: str
) -> None:
    ceph.ask("PUT", f"{bucket}/{'0' * 32}.jpg")
    settings = ceph.settings(bucket) | {"DATABASE_URL": ""}
    line = refused_start(database_url, tmp_path, "-m", "app", **settings)
    assert f"The image storage s3://{bucket}/ at {ceph.endpoint} is not that" in line
    assert not (tmp_path / "postgres").exists()


@needs_ceph
def test_fsck_compares_a_bucket_and_removes_what_uploads_have_left(
    database_url: URL, tmp_path: Path, ceph: Ceph, bucket: str
) -> None:
    key = "0" * 32 + ".jpg"
    fsck = partial(run_fsck, database_url, tmp_path, ceph.settings(bucket))
    run = fsck()
    assert (run.returncode, run.stdout.splitlines()[-1]) == (0, "0 images compared: no findings")
    assert ceph.keys(bucket) == [NAME]
    ceph.ask("POST", f"{bucket}/{key}?uploads")
    run = fsck("--json", "--repair")
    assert run.returncode == 1, run.stderr
    report = json.loads(run.stdout)
    (finding,) = report["findings"]
    assert finding["key"].startswith(f"{key}?uploadId=")
    assert (finding["kind"], finding["repaired"]) == ("old-staging-file", True)
    assert not report["unlisted_uploads"]
    assert ceph.uploads(bucket) == []
    assert not (tmp_path / "data").exists()


@needs_ceph
@needs_openssl
def test_a_store_behind_tls_is_used_if_its_certificate_is_trusted_and_names_it(
    database_url: URL, tmp_path: Path, ceph: Ceph, bucket: str
) -> None:
    certificate, key = make_certificate(tmp_path)
    with in_front_of(urlsplit(ceph.endpoint).port or 0, certificate, key) as port:

        def fsck(host: str, **more: str) -> "subprocess.CompletedProcess[str]":
            url = f"s3://{bucket}?endpoint=https://{host}:{port}"
            settings = ceph.settings(bucket) | {"STORAGE_URL": url} | more
            return run_fsck(database_url, tmp_path, settings)

        authority = {"SSL_CERT_FILE": str(certificate)}
        for refused, why in (
            (fsck("localhost"), "self-signed certificate"),
            (fsck("127.0.0.1", **authority), "IP address mismatch"),
        ):
            assert refused.returncode != 0
            (line,) = refused.stderr.splitlines()
            assert why in line
            assert line.endswith("; SSL_CERT_FILE names the authorities that are trusted")
        assert ceph.keys(bucket) == []
        run = fsck("localhost", **authority)
        assert (run.returncode, run.stdout.splitlines()[-1]) == (
            0,
            "0 images compared: no findings",
        ), run.stderr
    assert ceph.keys(bucket) == [NAME]
