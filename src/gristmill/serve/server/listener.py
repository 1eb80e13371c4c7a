"""A listening socket, or an error that says why there is none."""

from __future__ import annotations

import errno
import socket

from gristmill.core.errors import ServeError, UsageError

_BACKLOG = 2048
_LAST_PORT = 65_535


def listen(host: str, port: int, option: str = "--port") -> socket.socket:
    """Return a TCP socket that listens on a host and port; port 0 takes a free one.

    Args:
        host, port: where.
        option: by which another port is named.

    Raises:
        UsageError: there is no such port number.
        ServeError: the host is unknown, the port is in use or not allowed.
    """
    # Not left to the system: some take a number that is too large modulo 65536.
    if not 0 <= port <= _LAST_PORT:
        raise UsageError(f"expected a port from 0 to {_LAST_PORT}, found {port}")
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
    except (OSError, UnicodeError) as error:
        raise ServeError(f"no such host to listen on: {host!r} ({error})") from error
    sock = socket.socket(family, kind, protocol)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(address)
        sock.listen(_BACKLOG)
    except OSError as error:
        sock.close()
        raise _explain(host, port, option, error) from error
    return sock


def url_of(sock: socket.socket, *, secure: bool = False) -> str:
    """Return the URL that a listening socket answers at; a wildcard host is shown as loopback."""
    host, port = sock.getsockname()[:2]
    if host in ("0.0.0.0", "::"):  # noqa: S104 - compared, not bound
        host = "127.0.0.1" if sock.family == socket.AF_INET else "::1"
    scheme = "https" if secure else "http"
    return f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"


def _explain(host: str, port: int, option: str, error: OSError) -> ServeError:
    if error.errno == errno.EADDRINUSE:
        return ServeError(
            f"port {port} of {host} is in use by another program",
            fix=f"stop that program, name another port, or take a free one with {option} 0",
        )
    if error.errno == errno.EACCES:
        return ServeError(
            f"port {port} is not allowed for this user",
            fix=f"name a port above 1023, or take a free one with {option} 0",
        )
    return ServeError(f"cannot listen on {host}, port {port}: {error}")
