"""100 users at once, for a minute, over a million images: `make load`.

Starts the real service over data of its own; the users share its cores.
"""

import argparse
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Final

from bench import servers
from bench.__main__ import folder_of
from bench.site import Site
from bench.wrk import BenchmarkFailed
from testkit.daemons import lasting_port
from testkit.valkey import cache_server

USERS: Final = 100
SPAWN_RATE: Final = 10
"""Users that begin each second."""
SECONDS: Final = 60
IDS: Final = 10_000
"""Different images that users ask for."""

LOCUSTFILE: Final = Path(__file__).with_name("locustfile.py")


def main() -> int:
    """Run the load; return the exit status."""
    parser = argparse.ArgumentParser(prog="make load", description=__doc__)
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="as for `make bench`")
    parser.add_argument("--users", type=int, default=USERS)
    parser.add_argument("--seconds", type=int, default=SECONDS)
    parser.add_argument("--redis", action="store_true", help="with a cache")
    parser.add_argument(
        "--stop-redis", action="store_true", help="the same; it hangs from half of the time on"
    )
    parser.add_argument(
        "--metrics", action="store_true", help="compare the service's own metrics with Locust's"
    )
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # also then, stop all servers
    try:
        with folder_of(options.keep) as folder, ExitStack() as opened:
            host = Site(folder, opened).large_host
            settings, variables = {}, dict[str, str]()
            if options.redis or options.stop_redis:
                cache = opened.enter_context(cache_server(folder))
                settings["REDIS_URL"] = cache.url
                if options.stop_redis:
                    variables["STOP"] = f"{cache.pid} {options.seconds}"
            if options.metrics:
                settings["METRICS_ADDRESS"] = variables["METRICS"] = f"127.0.0.1:{lasting_port()}"
            with servers.service(host.data, renders=True, **settings) as service:
                statement = "SELECT id FROM images ORDER BY random() LIMIT $1"
                ids = folder / "ids"
                variables["IMAGE_IDS"] = str(ids)
                ids.write_text(
                    "\n".join(str(image_id) for (image_id,) in host.execute(statement, IDS))
                )
                try:
                    return _run(service.url, options.users, options.seconds, variables)
                finally:
                    host.remove_uploads()
    except BenchmarkFailed as error:
        print(error, file=sys.stderr)
        return 1


def _run(url: str, users: int, seconds: int, variables: Mapping[str, str]) -> int:
    """Let locust print its table and judge."""
    return subprocess.run(
        [
            *(sys.executable, "-m", "locust", "--locustfile", str(LOCUSTFILE), "--host", url),
            *("--headless", "--only-summary", "--users", str(users)),
            *("--spawn-rate", str(SPAWN_RATE), "--run-time", f"{seconds}s", "--stop-timeout", "30"),
        ],
        env={
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(servers.BACKEND),
            **variables,
        },
        check=False,
    ).returncode


if __name__ == "__main__":
    sys.exit(main())
