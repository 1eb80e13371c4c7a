"""A channel between two processes of a machine: whole messages and file descriptors, in order."""

from __future__ import annotations

import mmap
import os
import select
import socket
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from gristmill.core.errors import TrainError
from gristmill.core.processes.packets import AT_ONCE, close_all, receive_packet, send_packet
from gristmill.train.workers.payload import dumps, loads

INLINE_BYTES = 32 * 1024
"""Longer messages travel as a shared memory file: a socket's buffer would not hold them."""

_WITHIN, _IN_FILE = b"\0", b"\1"


@dataclass(slots=True)
class Parcel:
    """A message as it arrived.

    Attributes:
        data: its pickled bytes.
        fds: file descriptors that came with it; the receiver's to close.
    """

    data: bytes | mmap.mmap
    fds: list[int]

    def open(self) -> Any:
        """Unpickle the message; raises what unpickling raises."""
        return loads(self.data)

    def close(self) -> None:
        """Close the descriptors."""
        close_all(self.fds)


class Link:
    """One end of a pair of connected sockets; it has `fileno`, for selectors.

    Args:
        drains: whether `send`, when the other side is slow to read, takes in what the other side
            sends meanwhile. One side must, or two sides that send much at once wait forever.
    """

    def __init__(self, end: socket.socket, *, drains: bool = False) -> None:
        self.socket = end
        self._drains = drains
        self._buffer = memoryview(bytearray(INLINE_BYTES + 1))
        self._inbox: deque[Parcel] = deque()

    def fileno(self) -> int:
        """The descriptor of the socket; -1 once closed."""
        return self.socket.fileno()

    def send(self, message: object, fds: Sequence[int] = ()) -> None:
        """Send a message, with copies of at most 15 descriptors.

        Raises:
            TrainError: the message cannot be pickled.
            OSError: the other end is closed (BrokenPipeError, ConnectionResetError).
        """
        data = dumps(message)
        if len(data) <= INLINE_BYTES:
            self._transmit([_WITHIN, data], fds)
            return
        fd = _file_of(data)
        try:
            self._transmit([_IN_FILE], [*fds, fd])
        finally:
            os.close(fd)

    def receive(self, spin_seconds: float = 0.0) -> Parcel:
        """Wait for the next message.

        Args:
            spin_seconds: how long to poll, giving way to others, before going to sleep. Waking a
                sleeping process on an idle core takes longer than most messages do.

        Raises:
            EOFError: the other end is closed and everything it sent was received.
        """
        if self._inbox:
            return self._inbox.popleft()
        if spin_seconds and (parcel := self._polled(spin_seconds)):
            return parcel
        return self._take()

    def waits(self, seconds: float) -> bool:
        """Say whether there is a message, or the other end is closed; wait so long for one."""
        return bool(self._inbox or select.select([self.socket], [], [], seconds)[0])

    def close(self) -> None:
        """Close this end, and descriptors that were never received."""
        self.socket.close()
        while self._inbox:
            self._inbox.popleft().close()

    def _polled(self, seconds: float) -> Parcel | None:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            try:
                return self._take(AT_ONCE)
            except BlockingIOError:
                os.sched_yield()
        return None

    def _transmit(self, parts: Sequence[bytes], fds: Sequence[int]) -> None:
        while True:
            try:
                send_packet(self.socket, parts, fds, AT_ONCE)
                return
            except BlockingIOError:
                self._wait_for_room()

    def _wait_for_room(self) -> None:
        poll = select.poll()
        poll.register(self.socket, select.POLLOUT | (select.POLLIN if self._drains else 0))
        for _, events in poll.poll():
            if self._drains and events & select.POLLIN:
                self._inbox.append(self._take())

    def _take(self, flags: int = 0) -> Parcel:
        nbytes, fds = receive_packet(self.socket, self._buffer, TrainError, flags)
        if self._buffer[0] == _IN_FILE[0]:
            return Parcel(_mapped(fds.pop()), fds)
        return Parcel(bytes(self._buffer[1:nbytes]), fds)


def pair() -> tuple[Link, socket.socket]:
    """Return a link and the socket of its other end, which is for another process."""
    near, far = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    return Link(near), far


def _file_of(data: bytes) -> int:
    fd = os.memfd_create("gristmill-message", os.MFD_CLOEXEC)
    os.ftruncate(fd, len(data))
    with mmap.mmap(fd, len(data)) as file:
        file[:] = data
    return fd


def _mapped(fd: int) -> mmap.mmap:
    try:
        return mmap.mmap(fd, 0, access=mmap.ACCESS_READ)
    finally:
        os.close(fd)
