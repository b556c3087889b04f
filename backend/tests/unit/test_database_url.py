import pytest
from sqlalchemy.engine import URL

from app.config.database_url import Host, parse_database_url


@pytest.mark.parametrize(
    ("url", "hosts"),
    [
        ("postgresql://db/x", [Host("db")]),
        ("postgres://me:secret@db:5433/x", [Host("db", 5433)]),
        ("postgresql+asyncpg://me@[::1]:5433/x", [Host("::1", 5433)]),
        ("postgresql://", [Host("")]),
        ("postgresql:///x", [Host("")]),
        ("postgresql://:5433/x", [Host("", 5433)]),
        ("postgresql://me@%2Frun%2Fpostgresql/x", [Host("/run/postgresql")]),
        ("postgresql://me@%2Frun%2Fpostgresql:5433/x", [Host("/run/postgresql", 5433)]),
        ("postgresql://me@/x?host=/run/postgresql", [Host("/run/postgresql")]),
        ("postgresql://me@:5433/x?host=/run/postgresql", [Host("/run/postgresql", 5433)]),
        ("postgresql:///x?host=%2Frun%2Fa%2Cb+c&port=1", [Host("/run/a,b c", 1)]),
        ("postgresql://me@localhost/x?host=/cloudsql/a:b:c", [Host("/cloudsql/a:b:c")]),
        ("postgresql://a,b:5433/x", [Host("a", 5433), Host("b", 5433)]),
        ("postgresql://a:1,b:2/x", [Host("a", 1), Host("b", 2)]),
        ("postgresql:///x?host=a,b&port=1,2", [Host("a", 1), Host("b", 2)]),
        ("postgresql:///x?host=a:1&host=b:2", [Host("a", 1), Host("b", 2)]),
    ],
)
def test_hosts_are_parsed_wherever_they_are_written(url: str, hosts: list[Host]) -> None:
    assert list(parse_database_url(url).hosts) == hosts


def test_user_password_and_name_are_percent_decoded() -> None:
    address = parse_database_url("postgresql://m%20e:p%40%2F%3A%23%25ss@db/my%20images")
    assert (address.user, address.password, address.database) == ("m e", "p@/:#%ss", "my images")


@pytest.mark.parametrize("url", ["postgresql://db", "postgresql://other:word@db/other"])
def test_user_password_and_name_may_be_parameters(url: str) -> None:
    address = parse_database_url(f"{url}?user=me&password=p%40ss&dbname=images")
    assert (address.user, address.password, address.database) == ("me", "p@ss", "images")


def test_tls_parameters_are_those_of_libpq() -> None:
    for query, mode in {"ssl=true": "require", "sslrootcert=system": "verify-full"}.items():
        assert parse_database_url(f"postgresql://db?{query}").tls["sslmode"] == mode


@pytest.mark.parametrize("password", ["a:b", "a+b", "a=b&c", "a[b]", "ä ß", "~!$'()*,;"])
def test_unambiguous_characters_of_a_password_need_no_encoding(password: str) -> None:
    assert parse_database_url(f"postgresql://me:{password}@db/x").password == password


@pytest.mark.parametrize("password", ["p@ss/w:o?r#d%20", "%", "@@", "ä ß", ""])
def test_a_url_that_sqlalchemy_renders_is_parsed_back(password: str) -> None:
    url = URL.create("postgresql+asyncpg", "me", password, "db", 5433, "x", {"host": "/a b,c@d"})
    address = parse_database_url(url.render_as_string(hide_password=False))
    assert (address.user, address.password or "") == ("me", password)
    assert list(address.hosts) == [Host("/a b,c@d", 5433)]


@pytest.mark.parametrize(
    "query",
    [
        "sslmode=require&channel_binding=require",  # Neon
        "sslmode=verify-full&sslrootcert=/etc/ssl/certs/ca-certificates.crt",
        "sslmode=verify-full&sslrootcert=system",
        "sslrootcert=system",
        "ssl=true",  # what JDBC has, and libpq takes
        "pgbouncer=true",  # Supabase
        "keepalives=1&keepalives_idle=30&keepalives_interval=10&keepalives_count=3&sslsni=1",
        "client_encoding=utf8&tcp_user_timeout=10000",
        "application_name=images&connect_timeout=10&gssencmode=disable",
        "options=-c%20statement_timeout%3D5s",
        "target_session_attrs=read-write",
        "",
    ],
)
def test_parameters_of_hosted_databases_are_understood(query: str) -> None:
    parse_database_url(f"postgresql://me:secret@db/x?{query}")


@pytest.mark.parametrize(
    ("query", "named"),
    [
        ("load_balance_hosts=random", "load_balance_hosts"),
        ("sslmode=perhaps", "sslmode"),
        ("sslmode=", "sslmode"),
        ("ssl=perhaps", "ssl"),
        ("sslmode=require&sslrootcert=system", "sslrootcert=system"),
        ("client_encoding=latin1", "client_encoding"),
        ("channel_binding=perhaps", "channel_binding"),
        ("gssencmode=require", "gssencmode"),
        ("target_session_attrs=standby", "target_session_attrs"),
        ("connect_timeout=soon", "connect_timeout"),
        ("port=5432x", "port"),
        ("port=0", "port"),
        ("host=a,b&port=1,2,3", "3 ports for 2 hosts"),
    ],
)
def test_an_unknown_parameter_is_named(query: str, named: str) -> None:
    with pytest.raises(ValueError, match=named) as refused:
        parse_database_url(f"postgresql://me:pa55word@db/x?{query}")
    assert "pa55word" not in str(refused.value)


def test_a_password_is_not_printed() -> None:
    assert "pa55word" not in repr(parse_database_url("postgresql://me:pa55word@db/x"))
