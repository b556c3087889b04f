import pwd
import re
from ipaddress import ip_network
from pathlib import Path

import pytest

from app.config.environment import InvalidSettings, load_settings
from app.config.settings import Settings
from app.config.storage_url import S3Location, parse_storage_url
from app.domain.actor import Access

ROOT = Path(__file__).parents[3]


@pytest.fixture(autouse=True)
def _own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_the_defaults_are_the_documented_ones() -> None:
    settings = load_settings()
    assert (settings.host, settings.port, settings.workers) == ("127.0.0.1", 8000, 1)
    assert settings.database_url.get_secret_value() == ""
    assert settings.data_dir == Path("data")
    assert settings.max_upload_bytes == 52_428_800
    assert settings.batch_max_files == 20
    assert settings.api_key.get_secret_value() == ""
    assert settings.uploads_per_hour_per_ip == 0
    assert settings.trusted_proxies == ()
    assert settings.log_format == "text"


def test_the_environment_wins_over_the_file(monkeypatch: pytest.MonkeyPatch) -> None:
    Path(".env").write_text("PORT=1111\nWORKERS=3\n")
    monkeypatch.setenv("PORT", "2222")
    settings = load_settings()
    assert (settings.port, settings.workers) == (2222, 3)


@pytest.mark.parametrize("name", [name.upper() for name in Settings.model_fields])
def test_a_name_with_the_prefix_wins_over_the_bare_one(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another program may use the bare one for something else, which then is not even read."""
    good = {"DATABASE_URL": "postgresql+asyncpg://db/x", "LOG_FORMAT": "json", "HOST": "::1"}
    good |= {"RENDER_MEMORY_MB": "256", "STRIP_METADATA": "true"}
    good |= {"REDIS_URL": "redis://cache", "FRONT": "nginx"}
    good |= {"STORAGE_URL": "s3://bucket", "STORAGE_PREVIOUS_URL": "local"}
    good |= {"STORAGE_REDIRECT": "true", "LOG_LEVEL": "error"}
    good |= {"METRICS_ADDRESS": "[::1]:9464"}
    good |= {"ACCESS": "upload", "SIGNING_KEY": "a:" + "s" * 32}
    good |= {"PUBLIC_URL": "https://x", "TRUSTED_PROXIES": "10.0.0.0/8", "DATA_DIR": "/pictures"}
    value = good.get(name, "17")
    monkeypatch.setenv("TRUSTED_PROXIES", "127.0.0.1")  # without it there is no FRONT
    monkeypatch.setenv("STORAGE_URL", "s3://photos")  # nor a redirect
    monkeypatch.setenv(name, "\x01 no such thing")
    monkeypatch.setenv(f"IMAGE_HOST_{name}", value)
    from_environment = load_settings()
    monkeypatch.delenv(f"IMAGE_HOST_{name}")
    Path(".env").write_text(f"IMAGE_HOST_{name}={value}\n{name}=neither\n")
    assert load_settings() == from_environment != Settings()


def test_nginx_in_front_must_be_trusted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FRONT", "nginx")
    with pytest.raises(InvalidSettings) as caught:
        load_settings()
    assert "FRONT from the environment: needs TRUSTED_PROXIES" in str(caught.value)
    monkeypatch.setenv("TRUSTED_PROXIES", "127.0.0.1")
    assert load_settings().front == "nginx"


def test_of_two_names_with_the_prefix_the_environment_wins(monkeypatch: pytest.MonkeyPatch) -> None:
    Path(".env").write_text("IMAGE_HOST_PORT=1111\n")
    monkeypatch.setenv("IMAGE_HOST_PORT", "2222")
    assert load_settings().port == 2222


def test_an_empty_value_with_the_prefix_counts_as_unset(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("IMAGE_HOST_PORT", "")
    monkeypatch.setenv("PORT", "2222")
    assert load_settings().port == 2222


@pytest.mark.parametrize(
    ("variable", "value", "line"),
    [
        ("PORT", "tcp://10.0.0.1:80", "PORT from the environment: .*; .* set IMAGE_HOST_PORT"),
        ("WORKERS", "auto", "WORKERS from the environment: .*; .* set IMAGE_HOST_WORKERS"),
        ("BACKLOG", "lots", "BACKLOG from the environment: .*; .* set IMAGE_HOST_BACKLOG"),
        ("LOG_FORMAT", "%(x)s", "LOG_FORMAT from the environment: .* set IMAGE_HOST_LOG_FORMAT"),
        ("IMAGE_HOST_WORKERS", "auto", r"IMAGE_HOST_WORKERS from the environment: .* integer"),
        (
            "IMAGE_HOST_PORT",
            "tcp://10.0.0.1:80",
            "IMAGE_HOST_PORT from the environment: .*; Kubernetes sets it for a Service",
        ),
    ],
)
def test_a_bad_value_names_its_variable(
    variable: str, value: str, line: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(InvalidSettings, match=f"^{line}"):
        load_settings()


def test_a_bad_value_of_the_file_names_its_line() -> None:
    Path(".env").write_text("# mine\n\nWORKERS=2\nIMAGE_HOST_PORT=x\n")
    with pytest.raises(InvalidSettings, match=r"^IMAGE_HOST_PORT from \.env, line 4: "):
        load_settings()


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("pa${HOME}ss", "pa${HOME}ss"),
        ('"pa${HOME}ss"', "pa${HOME}ss"),
        ("'pa$HOME${X:-y}'", "pa$HOME${X:-y}"),
        ("${UNKNOWN}", "${UNKNOWN}"),
        ("a#b # a comment", "a#b"),
        ('"a # b"', "a # b"),
        ("'back\\nslash'", "back\\nslash"),
        ("  blank  ", "blank"),
        ("%41", "%41"),
        ("$(id)`id`", "$(id)`id`"),
    ],
)
def test_the_file_is_read_literally(written: str, meant: str) -> None:
    Path(".env").write_text(f"DATA_DIR={written}\n")
    assert load_settings().data_dir == Path(meant)


@pytest.mark.parametrize("source", ["file", "environment"])
def test_a_folder_may_begin_at_home(source: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/me")
    for written, meant in {
        "~/pics": "/home/me/pics",
        "~": "/home/me",
        "~root/pics": f"{pwd.getpwnam('root').pw_dir}/pics",
        "./~": "~",
        "a~b": "a~b",
    }.items():
        if source == "file":
            Path(".env").write_text(f"DATA_DIR={written}\n")
        else:
            monkeypatch.setenv("DATA_DIR", written)
        assert load_settings().data_dir == Path(meant)


def test_a_home_that_does_not_exist_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATA_DIR", "~nobody-of-that-name/pics")
    with pytest.raises(InvalidSettings, match=r"^DATA_DIR .*begins with ~nobody-of-that-name, and"):
        load_settings()


def test_an_empty_value_is_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PORT", "")
    assert load_settings().port == 8000


def test_the_settings_cannot_be_changed() -> None:
    with pytest.raises(ValueError, match="frozen"):
        load_settings().port = 1  # type: ignore[misc]


def test_a_misspelt_key_of_the_file_is_refused() -> None:
    Path(".env").write_text("MAX_UPLOAD_BYTE=1\n")
    with pytest.raises(
        InvalidSettings, match=r"^MAX_UPLOAD_BYTE from \.env, line 1 is not a setting"
    ):
        load_settings()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PORT", "abc"),
        ("PORT", "65536"),
        ("WORKERS", "0"),
        ("MAX_UPLOAD_BYTES", "0"),
        ("MAX_UPLOAD_BYTES", "50MB"),
        ("BATCH_MAX_FILES", "-1"),
        ("UPLOADS_PER_HOUR_PER_IP", "-1"),
        ("LOG_FORMAT", "xml"),
        ("LOG_LEVEL", "INFO"),
        ("DATABASE_URL", "mysql://localhost/x"),
        ("PUBLIC_URL", "images.example.org"),
        ("PUBLIC_URL", "ftp://images.example.org"),
        ("PUBLIC_URL", "https://bild.\u4f8b\u3048.jp"),
        ("PUBLIC_URL", "https://images.example.org/<x>"),
        ("PUBLIC_URL", "https://images.example.org/?x"),
        ("DATABASE_URL", "postgresql://host:port/x"),
        ("DATABASE_URL", "postgresql://host/x?unknown=1"),
        ("DATABASE_URL", "postgresql://me:p@ss@host/x"),
        ("DATABASE_URL", "postgresql://host/x?sslmode=perhaps"),
        ("TRUSTED_PROXIES", "10.0.0.0/8,nonsense"),
        ("API_KEY", "two words"),
    ],
)
def test_a_bad_value_is_refused_in_one_line(
    name: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(InvalidSettings) as caught:
        load_settings()
    assert str(caught.value).startswith(f"{name} from the environment: ")
    assert str(caught.value).endswith(
        f"; if it is not meant for this service, set IMAGE_HOST_{name}"
    )
    assert "\n" not in str(caught.value)


def test_each_bad_value_is_reported_on_a_line_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PORT", "x")
    monkeypatch.setenv("WORKERS", "x")
    with pytest.raises(InvalidSettings) as caught:
        load_settings()
    assert [line.split()[0] for line in str(caught.value).splitlines()] == ["PORT", "WORKERS"]


def test_secrets_are_not_printed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("API_KEY", "s3cret")
    monkeypatch.setenv("DATABASE_URL", "postgresql://me:pa55word@db/images")
    shown = f"{load_settings()!r} {load_settings()}"
    assert "s3cret" not in shown
    assert "pa55word" not in shown


def test_a_bad_secret_is_not_printed_either(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", "mysql://me:pa55word@db/images")
    with pytest.raises(InvalidSettings) as caught:
        load_settings()
    assert "pa55word" not in str(caught.value)


@pytest.mark.parametrize(
    "address",
    [
        "postgresql://me:pa55@word@db/images",
        "postgresql://me:pa55/word@db/images",
        "postgresql://me:pa55?word@db/images",
        "postgresql://me:pa55?word=x@db/images",
        "postgresql://me:pa55#word@db/images",
        "postgresql://me:pa55%word@db/images",
        "postgresql://me:pa55%ff@db/images",
        "postgresql://me:pa55%00@db/images",
        "postgresql://me:pa55\nword@db/images?x",
        "postgresql://me:pa55@db:port/images",
    ],
)
def test_a_password_that_must_be_percent_encoded_is_reported_but_not_printed(
    address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_URL", address)
    with pytest.raises(InvalidSettings) as caught:
        load_settings()
    assert str(caught.value).startswith("DATABASE_URL from the environment: ")
    assert "percent-encoded (@ as %40" in str(caught.value)
    assert "pa55" not in str(caught.value)
    assert "word" not in str(caught.value).replace("password", "")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "url",
    [
        *("redis://cache", "redis://cache:6379/0", "rediss://me:p%40ss@cache.example.org/1"),
        *("redis://:p:ss@[::1]:6379", "unix:///run/redis.sock?db=1", "redis://cache?db=2"),
    ],
)
def test_addresses_of_a_redis_are_accepted(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REDIS_URL", url)
    assert load_settings().redis_url.get_secret_value() == url


@pytest.mark.parametrize(
    "url",
    [
        *("cache", "cache:6379", "http://pa55", "redis://", "redis:///0", "redis://cache/pa55"),
        *("redis://me:pa55/word@cache", "redis://me:55/word@cache", "redis://:pa55#word@cache"),
        *("redis://me:pa55?word@cache", "redis://me:pa55@word@cache", "redis://cache:pa55"),
    ],
)
def test_an_address_of_a_redis_that_may_show_its_password_is_refused_without_it(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REDIS_URL", url)
    with pytest.raises(
        InvalidSettings, match=r"^REDIS_URL from the environment: must be"
    ) as caught:
        load_settings()
    assert "55" not in str(caught.value)
    assert "percent-encoded" in str(caught.value)


@pytest.mark.parametrize(
    "content",
    [b'API_KEY="abc\n', b"API_KEY\xff=x\n", b"PORT 8000\n", b"API_KEY\n", b"API_KEY:abc\n"],
)
def test_a_line_that_the_parser_would_skip_is_refused(content: bytes) -> None:
    """A key that is not read leaves the service open."""
    Path(".env").write_bytes(b"# comment\n\n" + content)
    with pytest.raises(InvalidSettings, match=r"^\.env") as caught:
        load_settings()
    assert "\n" not in str(caught.value)
    assert "abc" not in str(caught.value)


@pytest.mark.parametrize("scheme", ["postgres", "postgresql", "postgresql+asyncpg"])
def test_every_usual_scheme_of_a_database_url_is_accepted(
    scheme: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = f"{scheme}://db/images"
    monkeypatch.setenv("DATABASE_URL", url)
    assert load_settings().database_url.get_secret_value() == url


def test_trusted_proxies_are_addresses_and_networks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRUSTED_PROXIES", "127.0.0.1, 10.0.0.0/8,::1")
    expected = (ip_network("127.0.0.1"), ip_network("10.0.0.0/8"), ip_network("::1"))
    assert load_settings().trusted_proxies == expected


@pytest.mark.parametrize(
    ("host", "key", "expected"),
    [
        ("127.0.0.1", "", False),
        ("127.8.8.8", "", False),
        ("::1", "", False),
        ("::ffff:127.0.0.1", "", False),
        ("localhost", "", False),
        ("0.0.0.0", "", True),
        ("::", "", True),
        ("images.example.org", "", True),
        ("0.0.0.0", "key", False),
    ],
)
def test_whether_the_service_is_open_to_the_network(
    host: str, key: str, expected: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOST", host)
    monkeypatch.setenv("API_KEY", key)
    assert load_settings().is_open_to_the_network is expected


@pytest.mark.parametrize(
    ("host", "access", "quota", "expected"),
    [
        ("127.0.0.1", "upload", "0", False),
        ("0.0.0.0", "upload", "0", True),
        ("0.0.0.0", "upload", "100", False),
        ("0.0.0.0", "keys", "0", False),
        ("0.0.0.0", "open", "0", False),  # which is warned of anyway
    ],
)
def test_whether_the_network_may_fill_the_disk(
    host: str, access: str, quota: str, expected: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOST", host)
    monkeypatch.setenv("ACCESS", access)
    monkeypatch.setenv("UPLOADS_PER_HOUR_PER_IP", quota)
    assert load_settings().is_filled_by_the_network is expected


@pytest.mark.parametrize(
    ("key", "access", "expected"),
    [
        ("", "", Access.OPEN),
        ("key", "", Access.KEYS),
        ("", "open", Access.OPEN),
        ("", "upload", Access.UPLOAD),
        ("key", "upload", Access.UPLOAD),
        ("", "keys", Access.KEYS),
    ],
)
def test_what_is_done_without_a_key(
    key: str, access: str, expected: Access, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("API_KEY", key)
    monkeypatch.setenv("ACCESS", access)
    assert load_settings().effective_access is expected


def test_a_key_beside_open_access_protects_nothing_and_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("API_KEY", "key")
    monkeypatch.setenv("ACCESS", "open")
    with pytest.raises(InvalidSettings, match=r"^ACCESS .*is open, so that API_KEY protects"):
        load_settings()


def test_the_example_file_lists_every_setting_with_its_default(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    example = (ROOT / ".env.example").read_text()
    listed = re.findall(r"^#?([A-Z_]+)=", example, re.MULTILINE)
    assert listed == [name.upper() for name in Settings.model_fields]
    Path(".env").write_text(re.sub(r"^#(?=[A-Z_]+=)", "", example, flags=re.MULTILINE))
    assert load_settings() == Settings()


def test_the_readme_lists_every_setting() -> None:
    readme = (ROOT / "README.md").read_text()
    for name in Settings.model_fields:
        assert f"| `{name.upper()}` |" in readme


@pytest.mark.parametrize(
    ("url", "path"),
    [
        ("", ""),
        ("https://images.example.org", ""),
        ("https://images.example.org/", ""),
        ("https://example.org/pics/", "/pics"),
        ("https://example.org/a/b", "/a/b"),
    ],
)
def test_the_path_of_the_public_url_is_kept(
    url: str, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PUBLIC_URL", url)
    assert load_settings().public_path == path


def test_the_public_url_may_end_with_a_slash(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PUBLIC_URL", "https://images.example.org/")
    assert load_settings().public_url == "https://images.example.org"


@pytest.mark.parametrize(
    ("url", "location"),
    [
        ("s3://photos", S3Location("photos")),
        ("s3://photos/", S3Location("photos")),
        ("s3://photos/a/b/?region=eu-west-1", S3Location("photos", "a/b/", region="eu-west-1")),
        (
            "s3://photos?endpoint=http://127.0.0.1:9000/",
            S3Location("photos", endpoint="http://127.0.0.1:9000", path_style=True),
        ),
        (
            "s3://photos?endpoint=https://s3.example.org&path_style=false",
            S3Location("photos", endpoint="https://s3.example.org"),
        ),
    ],
)
def test_a_storage_url_names_a_bucket(url: str, location: S3Location) -> None:
    assert parse_storage_url(url) == location


@pytest.mark.parametrize(
    "url",
    [
        "photos",
        "s3:///photos",
        "https://photos",
        "s3://key:hunter2@photos",
        "s3://a",
        "s3://photos/../x",
        "s3://photos/a b",
        "s3://photos?endpoint=127.0.0.1:9000",
        "s3://photos?endpoint=http://u:hunter2@host",
        "s3://photos?endpoint=http://host/path",
        "s3://photos?endpoint=http://host:99999",
        "s3://photos?path_style=maybe",
        "s3://photos?secret=hunter2",
        "s3://photos?region=eu/west",
        "s3://photos?profile=a/b",
    ],
)
def test_a_storage_url_that_is_none_is_refused_without_its_secrets(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STORAGE_URL", url)
    with pytest.raises(InvalidSettings) as caught:
        load_settings()
    assert str(caught.value).startswith("STORAGE_URL from the environment: ")
    assert "hunter2" not in str(caught.value)


def test_clients_are_sent_to_a_store_only_if_there_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STORAGE_REDIRECT", "true")
    with pytest.raises(InvalidSettings, match="needs STORAGE_URL"):
        load_settings()


@pytest.mark.parametrize(
    ("url", "previous"),
    [("", "local"), ("s3://photos?region=a", "s3://photos/?region=a&profile=other")],
)
def test_images_are_not_moved_from_where_they_are(
    url: str, previous: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STORAGE_URL", url)
    monkeypatch.setenv("STORAGE_PREVIOUS_URL", previous)
    with pytest.raises(InvalidSettings, match=r"STORAGE_PREVIOUS_URL.* is the storage of"):
        load_settings()


def test_clients_are_not_sent_to_a_store_that_nginx_reads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STORAGE_URL", "s3://photos")
    monkeypatch.setenv("STORAGE_REDIRECT", "true")
    monkeypatch.setenv("FRONT", "nginx")
    monkeypatch.setenv("TRUSTED_PROXIES", "127.0.0.1")
    with pytest.raises(InvalidSettings, match=r"FRONT from the environment: .*STORAGE_REDIRECT"):
        load_settings()
