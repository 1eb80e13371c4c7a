"""Messages with file descriptors over a socket that keeps their boundaries (`SOCK_SEQPACKET`).

A message is sent by one system call and received by one, so that neither a signal nor the death of
a process leaves half of one behind.
"""

from __future__ import annotations

import array
import os
import socket
from collections.abc import Iterable, Sequence

from gristmill.core.errors import GristmillError

MOST_FDS = 16
"""Most descriptors that come with one message."""
AT_ONCE = int(getattr(socket, "MSG_DONTWAIT", 0))
"""Flag for both: raise `BlockingIOError` rather than wait."""

_CLOSE_ON_EXEC = int(getattr(socket, "MSG_CMSG_CLOEXEC", 0))
_NO_SIGNAL = int(getattr(socket, "MSG_NOSIGNAL", 0))
_LOST = int(getattr(socket, "MSG_CTRUNC", 0))
_RIGHTS = (socket.SOL_SOCKET, getattr(socket, "SCM_RIGHTS", 1))
_RIGHTS_BYTES = socket.CMSG_SPACE(MOST_FDS * array.array("i").itemsize)


def send_packet(
    end: socket.socket, parts: Iterable[bytes | memoryview], fds: Sequence[int], flags: int = 0
) -> None:
    """Send a message, of at least one byte, with copies of at most `MOST_FDS` descriptors.

    Raises:
        BlockingIOError: by `AT_ONCE`: the other side has not read what was sent before.
        OSError: it has closed its end (BrokenPipeError, ConnectionResetError).
    """
    rights = [(*_RIGHTS, array.array("i", fds))] if fds else []
    end.sendmsg(parts, rights, flags | _NO_SIGNAL)


def receive_packet(
    end: socket.socket, buffer: memoryview, error: type[GristmillError], flags: int = 0
) -> tuple[int, list[int]]:
    """Receive the next message into a buffer, which must be large enough.

    Returns:
        its bytes, and the descriptors that came with it: the caller's to close, and closed by
        `exec`.

    Raises:
        BlockingIOError: by `AT_ONCE`: there is none yet.
        EOFError: the other end is closed and everything it sent was received.
        GristmillError: an `error`: its descriptors were lost, as too many files are open.
    """
    flags |= _CLOSE_ON_EXEC
    try:
        received = end.recvmsg_into([buffer], _RIGHTS_BYTES, flags)
    except ConnectionResetError:
        # It died with messages unread: said once, then what it had sent can be received.
        received = end.recvmsg_into([buffer], _RIGHTS_BYTES, flags)
    nbytes, rights, said, _ = received
    if nbytes == 0:
        raise EOFError
    fds = _descriptors(rights) if rights else []
    if said & _LOST:
        close_all(fds)
        raise error(
            "a message lost its file descriptors: too many files are open in this process",
            fix="raise the limit of open files (ulimit -n)",
        )
    return nbytes, fds


def close_all(fds: Iterable[int]) -> None:
    """Close descriptors."""
    for fd in fds:
        os.close(fd)


def _descriptors(rights: Iterable[tuple[int, int, bytes]]) -> list[int]:
    fds = array.array("i")
    for *kind, data in rights:
        if tuple(kind) == _RIGHTS:
            fds.frombytes(data[: len(data) - len(data) % fds.itemsize])
    return list(fds)
