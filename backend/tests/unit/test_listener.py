import socket
import sys
from collections.abc import Iterator

import pytest

from app.config.settings import Settings
from app.server.listener import CannotListen, address_of, listen, refuse_new_connections
from testkit.live import TIMEOUT


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with listen(Settings(port=0)) as listener:
        listener.settimeout(TIMEOUT)
        yield listener


@pytest.mark.skipif(sys.platform != "linux", reason="a filter of Linux")
def test_new_connections_are_dropped_and_those_in_the_backlog_accepted(
    listener: socket.socket,
) -> None:
    with socket.create_connection(listener.getsockname()) as early:
        refuse_new_connections(listener)
        with socket.socket() as late:
            late.settimeout(0.2)
            with pytest.raises(TimeoutError):
                late.connect(listener.getsockname())
        accepted, _ = listener.accept()
        with accepted:
            early.sendall(b"still here")
            assert accepted.recv(100) == b"still here"


def test_a_taken_port_says_what_to_set(listener: socket.socket) -> None:
    port = listener.getsockname()[1]
    with pytest.raises(CannotListen, match=f"Port {port} of 127.0.0.1 is in use; set HOST or PORT"):
        listen(Settings(port=port))


@pytest.mark.parametrize("host", ["x86_64-conda-linux-gnu", "a..b", "x" * 64, ".example.org"])
@pytest.mark.parametrize("name", ["HOST", "IMAGE_HOST_HOST"])
def test_an_invalid_host_names_its_variable(
    name: str, host: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, host)
    with pytest.raises(CannotListen) as caught:
        listen(Settings(host=host, port=0))
    assert f"{name} from the environment" in str(caught.value)
    assert ("set IMAGE_HOST_HOST" in str(caught.value)) == (name == "HOST")


@pytest.mark.parametrize("host", ["a..example", f"{'a' * 64}.example", "192.0.2.1"])
def test_a_host_that_cannot_be_listened_on_says_what_to_set(host: str) -> None:
    """Two names that DNS cannot hold, and an address of no machine (RFC 5737)."""
    with pytest.raises(CannotListen) as caught:
        listen(Settings(host=host, port=0))
    assert str(caught.value).startswith(f"Port 0 of {host} cannot be used: ")
    assert str(caught.value).endswith(
        " The address is the default; set HOST. The port is the default; set PORT."
    )


@pytest.mark.parametrize(
    ("host", "address"), [("127.0.0.1", "127.0.0.1"), ("0.0.0.0", "localhost")]
)
def test_the_address_can_be_opened_in_a_browser(host: str, address: str) -> None:
    with listen(Settings(host=host, port=0)) as listener:
        port = listener.getsockname()[1]
        assert address_of(listener) == f"http://{address}:{port}"
