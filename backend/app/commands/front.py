"""The command that runs nginx in front of the service: `python -m app front`."""

import os
import pwd
import re
import stat
import sys
from collections.abc import Mapping
from pathlib import Path
from shutil import which
from ssl import get_default_verify_paths
from typing import Final

from app.config.settings import Settings
from app.domain.ip_address import parse_address

EXIT_FAILED: Final = 1

CACHE_SIZE: Final = "1g"
_TEMPLATES: Final = Path(__file__).resolve().parents[3] / "deploy" / "nginx"
_NAME: Final = re.compile(r"\$\{([A-Z_]+)\}")
_ANY_ADDRESS: Final = {"0.0.0.0": "127.0.0.1", "::": "127.0.0.1"}  # noqa: S104 - replaced
_PLAIN_FOLDER: Final = re.compile(r'[^"$\\\n]+')
_PLAIN_PATH: Final = re.compile(r"[A-Za-z0-9/._~-]*")
"""What means itself in the configuration; a path is part of regular expressions there."""
_NO_WAY: Final = "return 418;"
"""Has nginx ask the service, which then sends the file."""
_RESOLVERS: Final = Path("/etc/resolv.conf")
_NAMESERVER: Final = re.compile(r"^nameserver\s+([0-9A-Fa-f.:]+)\s*$", re.MULTILINE)
_AUTHORITIES: Final = "/etc/ssl/certs/ca-certificates.crt"


def run(settings: Settings) -> int:
    """Run nginx in the foreground, in place of this process.

    Returns:
        1 = it cannot be started, and why.
    """
    nginx = which("nginx", path=f"{os.environ.get('PATH', os.defpath)}:/usr/sbin")
    host = _ANY_ADDRESS.get(settings.host, settings.host)
    refusal = _refusal(settings, host, nginx)
    if refusal or not nginx:
        print(refusal, file=sys.stderr)
        return EXIT_FAILED
    address = _host_port(host, settings.port)
    both = " ipv6only=off" if settings.host == "::" else ""  # as the service does
    configuration = write_configuration(
        settings.data_dir / "front",
        FRONT_LISTEN=_host_port(settings.host, settings.front_port) + both,
        FRONT_SERVERS=f"server {address} max_fails=0;",
        FRONT_FILES=str(settings.data_dir.resolve() / "images"),
        FRONT_LOG_FORMAT=settings.log_format,
        PUBLIC_PATH=settings.public_path,
    )
    shown = _host_port(host, settings.front_port)
    print(f"nginx: http://{shown}{settings.public_path}/ in front of {address}", flush=True)
    os.execv(nginx, [nginx, "-c", str(configuration), "-e", "stderr"])  # noqa: S606 - no shell
    raise AssertionError  # it returns only by an exception


def write_configuration(folder: Path, **values: str) -> Path:
    """Write the configuration of nginx from its templates; return the file to start it with.

    Args:
        folder: Where all its files are, the cache too; made if it is missing.
        values: What the names in the templates stand for; some have a default.
    """
    folder = folder.resolve()
    for name in ("temporary", "include"):
        (folder / name).mkdir(mode=0o700, parents=True, exist_ok=True)
    user = f"user {pwd.getpwuid(os.geteuid()).pw_name};" if os.geteuid() == 0 else ""
    defaults = {
        "FRONT_FOLDER": str(folder),
        "FRONT_USER": user,  # files are its own; for others than root it is so anyway
        "FRONT_CACHE": str(folder / "cache"),
        "FRONT_CACHE_SIZE": CACHE_SIZE,
        "FRONT_INCLUDE": str(folder / "include"),
        "FRONT_LOG": "/dev/stdout",
        "FRONT_LOG_FORMAT": "text",
        "FRONT_STORE": _way_to_a_store(),
        "PUBLIC_PATH": "",
    }
    for name in ("image-host.conf", "nginx.conf"):
        template = (_TEMPLATES / f"{name}.template").read_text("utf-8")
        (folder / name).write_text(_fill_in(template, {**defaults, **values}), "utf-8")
    return folder / "nginx.conf"


def _way_to_a_store() -> str:
    """Return how nginx reaches a store: who knows its address, and whose word for it is trusted."""
    authorities = get_default_verify_paths().cafile or _AUTHORITIES
    if not Path(authorities).is_file():
        return _NO_WAY
    found = _NAMESERVER.findall(_RESOLVERS.read_text() if _RESOLVERS.exists() else "")
    resolvers = [f"[{one}]" if ":" in one else one for one in found] or ["127.0.0.1"]
    return (
        f"resolver {' '.join(resolvers)}; proxy_ssl_verify on; "
        f'proxy_ssl_trusted_certificate "{authorities}";'
    )


def _fill_in(template: str, values: Mapping[str, str]) -> str:
    """Replace what envsubst does in the image of nginx."""
    return _NAME.sub(lambda found: values[found[1]], template)


def _refusal(settings: Settings, host: str, nginx: str | None) -> str:
    """Return why nginx cannot be started in front of a service at `host`; empty if it can."""
    folder = str(settings.data_dir.resolve())
    refusals = {
        "The service is not set up for it: set FRONT=nginx and TRUSTED_PROXIES=127.0.0.1.": (
            settings.front != "nginx"
        ),
        f"The service does not trust {host}, from where nginx asks: name it in TRUSTED_PROXIES.": (
            not _is_trusted(settings, host)
        ),
        "PORT=0 takes a free one, which nginx does not know: set PORT.": not settings.port,
        f'nginx takes no folder with ", $ or \\ in its path, such as {folder}: set DATA_DIR.': (
            not _PLAIN_FOLDER.fullmatch(folder)
        ),
        "The path of PUBLIC_URL may have only letters, digits and . _ ~ - behind this nginx.": (
            not _PLAIN_PATH.fullmatch(settings.public_path)
        ),
        "nginx cannot log to a socket, such as the journal's: send its output to a file or pipe.": (
            stat.S_ISSOCK(os.fstat(sys.stdout.fileno()).st_mode)
        ),
        f"There is no {_TEMPLATES}, which has the configuration.": not _TEMPLATES.is_dir(),
        "There is no nginx: install it, on Debian and Ubuntu with apt install nginx-light.": (
            not nginx
        ),
    }
    return next((sentence for sentence, is_so in refusals.items() if is_so), "")


def _is_trusted(settings: Settings, host: str) -> bool:
    address = parse_address(host)
    return not address or any(address in network for network in settings.trusted_proxies)


def _host_port(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
