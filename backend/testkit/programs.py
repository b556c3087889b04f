"""Programs from Debian that tests run beside the service: `make servers` installs them."""

import os
from pathlib import Path
from shutil import which

import pytest

_DEBIAN = sorted(map(str, Path("/usr/lib/postgresql").glob("*/bin")))
_PATH = os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/sbin", *_DEBIAN])


def _find(*names: str) -> str | None:
    return next((found for name in names if (found := which(name, path=_PATH))), None)


def _needs(found: str | None, name: str, untested: str) -> pytest.MarkDecorator:
    """Let a developer do without; in CI the test fails instead."""
    return pytest.mark.skipif(
        found is None and not os.environ.get("CI"),
        reason=f"NO {name}, so {untested} is NOT TESTED; install it with: make servers",
    )


_CURL = _find("curl")
_EXIFTOOL = _find("exiftool")
_JAVA = _find("java")
_NC = _find("nc.openbsd")
_OPENSSL = _find("openssl")
_CHROMIUM = _find("chromium", "chromium-browser", "google-chrome")
_FIREFOX = _find("firefox-esr", "firefox")
_NGINX = _find("nginx")
_PGBOUNCER = _find("pgbouncer")
_POSTGRES = _find("postgres")
_REDIS = _find("redis-server")
_PROMETHEUS = _find("prometheus") and _find("promtool")
_ALERTMANAGER = _find("prometheus-alertmanager", "alertmanager")
_CEPH = _find("ceph-mon") and _find("ceph-osd") and _find("radosgw")

CHROMIUM = _CHROMIUM or "chromium, which `make servers` installs"
FIREFOX = _FIREFOX or "Firefox, which `make servers` installs"
EXIFTOOL = _EXIFTOOL or "exiftool, which `make servers` installs"
NGINX = _NGINX or "nginx, which `make servers` installs"
PGBOUNCER = _PGBOUNCER or "pgbouncer, which `make servers` installs"
POSTGRES = _POSTGRES or "postgresql-15, which `make servers` installs"
REDIS = _REDIS or "redis-server, which `make servers` installs"
PROMETHEUS = _find("prometheus") or "prometheus, which `make servers` installs"
PROMTOOL = _find("promtool") or "promtool, which `make servers` installs"
ALERTMANAGER = _ALERTMANAGER or "prometheus-alertmanager, which `make servers` installs"
AMTOOL = _find("amtool") or "amtool, which `make servers` installs"

needs_chromium = _needs(_CHROMIUM, "CHROMIUM", "what browsers do")
needs_firefox = _needs(_FIREFOX, "FIREFOX", "what another browser does")
needs_exiftool = _needs(_EXIFTOOL, "EXIFTOOL", "what stripped files still say")
needs_nginx = _needs(_NGINX, "NGINX", "a proxy in front")
needs_pgbouncer = _needs(_PGBOUNCER, "PGBOUNCER", "a connection pooler")
needs_postgres = _needs(_POSTGRES, "POSTGRESQL WITH EXTENSIONS", "what a database counts itself")
needs_redis = _needs(_REDIS, "REDIS", "Redis itself")
needs_prometheus = _needs(_PROMETHEUS, "PROMETHEUS", "what it makes of the metrics")
needs_alertmanager = _needs(_ALERTMANAGER, "ALERTMANAGER", "who is told of alerts")
needs_ceph = _needs(_CEPH, "CEPH", "storage in S3")

# Clients that no test but theirs needs: `make servers` leaves these to the developer, and to CI.
CURL = _CURL or "curl"
JAVA = _JAVA or "java"
NC = _NC or "nc.openbsd"
OPENSSL = _OPENSSL or "openssl"

needs_curl = pytest.mark.skipif(_CURL is None, reason="NO CURL, so its --http2 is NOT TESTED")
needs_java = pytest.mark.skipif(_JAVA is None, reason="NO JDK, so Java's client is NOT TESTED")
needs_nc = pytest.mark.skipif(_NC is None, reason="NO OPENBSD NETCAT, so `nc -N` is NOT TESTED")
needs_openssl = pytest.mark.skipif(_OPENSSL is None, reason="NO OPENSSL, so TLS is NOT TESTED")
