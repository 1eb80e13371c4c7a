import socket

import pytest

from gristmill.core.errors import ServeError, UsageError
from gristmill.serve.server.listener import listen, url_of


def test_a_free_port_is_taken_and_answers():
    with listen("127.0.0.1", 0) as sock:
        host, port = sock.getsockname()
        assert url_of(sock) == f"http://127.0.0.1:{port}"
        socket.create_connection((host, port), timeout=5).close()


def test_a_port_in_use_is_named_with_what_to_do():
    with listen("127.0.0.1", 0) as sock:
        port = sock.getsockname()[1]
        with pytest.raises(ServeError) as caught:
            listen("127.0.0.1", port)
    assert caught.value.message == f"port {port} of 127.0.0.1 is in use by another program"
    assert caught.value.fix == (
        "stop that program, name another port, or take a free one with --port 0"
    )


def test_an_unknown_host_is_named():
    with pytest.raises(ServeError, match="no such host to listen on: 'no such host!'"):
        listen("no such host!", 0)


@pytest.mark.parametrize("port", [-1, 70000])
def test_an_impossible_port_is_an_error_of_ours(port):
    with pytest.raises(UsageError) as caught:
        listen("127.0.0.1", port)
    assert caught.value.message == f"expected a port from 0 to 65535, found {port}"


def test_a_wildcard_is_shown_as_an_address_to_open():
    with listen("0.0.0.0", 0) as sock:
        assert url_of(sock) == f"http://127.0.0.1:{sock.getsockname()[1]}"
