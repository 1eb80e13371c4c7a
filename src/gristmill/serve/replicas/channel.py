"""A channel between two processes of a machine: whole messages and file descriptors, in order."""

from __future__ import annotations

import socket
import struct
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from gristmill.core.errors import ServeError
from gristmill.core.processes.packets import AT_ONCE, receive_packet, send_packet
from gristmill.serve.replicas.codec import ALIGNMENT, Memory

BODY_BYTES = 32 * 1024
"""Most bytes of a message's body: a socket's buffer holds several such messages."""

_PREFIX = struct.Struct("<BBxxIQQd32x")
"""As long as the alignment, so that the body is aligned like the buffer."""


class Note(NamedTuple):
    """The fixed part of a message.

    Attributes:
        kind: what it is about.
        slot: which of the places for batches under way it belongs to.
        head: bytes of the head of packed rows.
        number: of the batch.
        nbytes: of the body; where it is larger than the message, it lies in the slot's arena.
        seconds: what computing took.
    """

    kind: int
    slot: int = 0
    head: int = 0
    number: int = 0
    nbytes: int = 0
    seconds: float = 0.0


class Message(NamedTuple):
    """A message as it arrived.

    Attributes:
        note: its fixed part.
        body: uint8[n], aligned; valid until the next message is received.
        fds: descriptors that came with it; the receiver's to close.
    """

    note: Note
    body: Memory
    fds: list[int]


class Channel:
    """One end of a pair of connected sockets; it has `fileno`, for event loops.

    Args:
        end: the socket.
        waits: whether `send` waits for a slow reader. One side at most may, or two sides that send
            much at once wait forever.
    """

    def __init__(self, end: socket.socket, *, waits: bool = False) -> None:
        self._socket = end
        self._sending = 0 if waits else AT_ONCE
        self._buffer = _aligned_buffer()
        self._memory = self._buffer.data

    def fileno(self) -> int:
        """The descriptor of the socket; -1 once closed."""
        return self._socket.fileno()

    def send(self, note: Note, body: bytes | memoryview = b"", fds: Sequence[int] = ()) -> None:
        """Send a message of at most `BODY_BYTES`, with copies of at most 16 descriptors.

        Raises:
            BlockingIOError: the other side has not read what was sent before.
            OSError: it has closed its end (BrokenPipeError, ConnectionResetError).
        """
        send_packet(self._socket, [_PREFIX.pack(*note), body], fds, self._sending)

    def receive(self) -> Message | None:
        """Return the next message; None if there is none yet.

        Raises:
            EOFError: the other end is closed and everything it sent was received.
            ServeError: descriptors were lost: too many files are open.
        """
        try:
            return self._take(AT_ONCE)
        except BlockingIOError:
            return None

    def wait(self) -> Message:
        """Return the next message, however long it takes; raises as `receive`."""
        return self._take()

    def close(self) -> None:
        """Close this end."""
        self._socket.close()

    def _take(self, flags: int = 0) -> Message:
        nbytes, fds = receive_packet(self._socket, self._memory, ServeError, flags)
        note = Note(*_PREFIX.unpack_from(self._memory))
        return Message(note, self._buffer[ALIGNMENT:nbytes], fds)


def pair(*, waits: bool = False) -> tuple[Channel, socket.socket]:
    """Return a channel and the socket of its other end, which is for another process."""
    near, far = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    return Channel(near, waits=waits), far


def _aligned_buffer() -> Memory:
    room = np.zeros(ALIGNMENT + BODY_BYTES + ALIGNMENT, np.uint8)
    start = -room.ctypes.data % ALIGNMENT
    return room[start : start + ALIGNMENT + BODY_BYTES]
