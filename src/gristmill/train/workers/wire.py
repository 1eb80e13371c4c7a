"""A channel between processes of two machines: messages, and bytes that go from memory to memory.

Both ends prove that they know a key before anything is unpickled (HMAC, by `multiprocessing`);
nothing is encrypted. The key travels by the engine's own means, so a process that was reached under
an address of another machine is found out.
"""

from __future__ import annotations

import os
import pickle
import socket
import struct
from collections.abc import Sequence
from contextlib import suppress
from multiprocessing import AuthenticationError
from multiprocessing.connection import Connection, answer_challenge, deliver_challenge
from typing import Any

import cloudpickle

from gristmill.core.errors import TrainError
from gristmill.train.workers.payload import dumps

_LENGTH = struct.Struct("!Q")
_CONNECT_SECONDS = 5.0
_PATIENCE = {
    "TCP_KEEPIDLE": 5,
    "TCP_KEEPINTVL": 5,
    "TCP_KEEPCNT": 3,
    "TCP_USER_TIMEOUT": 20_000,
}
"""A machine that has lost its power says nothing: it is given up after about 20 seconds.

The first three are for who waits, in seconds; the last, in milliseconds, for what was sent and has
not arrived: Linux would send it again for a quarter of an hour.
"""


class Wire:
    """One end of a connection.

    Every method raises `OSError` or `EOFError` where the other end is gone.

    Args:
        end: a connected TCP socket, which becomes the wire's.
    """

    def __init__(self, end: socket.socket) -> None:
        self._socket = end
        end.settimeout(None)
        end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        end.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for name, value in _PATIENCE.items():
            if hasattr(socket, name):
                end.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)

    def send(self, message: object, buffers: Sequence[memoryview] = ()) -> None:
        """Send a message, and behind it bytes that the other end knows where to put.

        Raises:
            TrainError: the message cannot be pickled.
        """
        self._send_bytes(dumps(message))
        self.pour(buffers)

    def pour(self, buffers: Sequence[memoryview]) -> None:
        """Send bytes that the other end takes in by `fill`."""
        for each in buffers:
            self._socket.sendall(each)

    def receive(self) -> Any:
        """Return the next message."""
        return pickle.loads(self._receive_bytes())  # noqa: S301 - of our own process

    def fill(self, buffers: Sequence[memoryview]) -> None:
        """Take in the bytes behind a message.

        Raises:
            EOFError: the other side is gone.
        """
        for each in buffers:
            left = each
            while left.nbytes:
                taken = self._socket.recv_into(left)
                if not taken:
                    raise EOFError
                left = left[taken:]

    def send_object(self, value: object) -> None:
        """Send anything that cloudpickle takes; large arrays are not copied into the message.

        Raises:
            TrainError: something in it cannot be pickled.
        """
        buffers: list[pickle.PickleBuffer] = []
        try:
            data = cloudpickle.dumps(value, protocol=5, buffer_callback=buffers.append)
        except Exception as error:  # an object's own pickling may raise anything
            raise TrainError(
                f"cannot be sent to another machine: {type(error).__name__}: {error}",
                fix="let model, loss and data hold no locks, open files or connections",
            ) from error
        views = [each.raw() for each in buffers]
        self._send_bytes(data)
        self.send([each.nbytes for each in views], views)

    def receive_object(self) -> Any:
        """Return what `send_object` sent; its arrays lie in memory of this process."""
        data = self._receive_bytes()
        buffers = [bytearray(nbytes) for nbytes in self.receive()]
        self.fill([memoryview(each) for each in buffers])
        return pickle.loads(data, buffers=buffers)  # noqa: S301 - of our own process

    def close(self) -> None:
        """Close this end; the other one finds out."""
        self._socket.close()

    def _send_bytes(self, data: bytes) -> None:
        self._socket.sendall(_LENGTH.pack(len(data)))
        self._socket.sendall(data)

    def _receive_bytes(self) -> bytearray:
        head = bytearray(_LENGTH.size)
        self.fill([memoryview(head)])
        data = bytearray(_LENGTH.unpack(head)[0])
        self.fill([memoryview(data)])
        return data


def listen() -> socket.socket:
    """Return a socket on which this machine can be called, under a port of the system's choice."""
    return socket.create_server(("", 0))


def hosts() -> list[str]:
    """Return the addresses under which other machines may reach this one, the likeliest first."""
    found = []
    # Where there is no way out of this machine, its name will have to do.
    with suppress(OSError), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect(("192.0.2.1", 9))  # sends nothing: asks which way packets would go
        found.append(probe.getsockname()[0])
    with suppress(OSError):  # nobody knows its name
        found += socket.gethostbyname_ex(socket.gethostname())[2]
    return list(dict.fromkeys([*found, "127.0.0.1"]))


def accept(end: socket.socket, key: bytes) -> Wire | None:
    """Make a wire of a connection that was accepted; None if the caller does not know the key."""
    return _proven(end, key, first=True)


def connect(addresses: Sequence[str], port: int, key: bytes) -> Wire:
    """Call another machine.

    Raises:
        OSError: nobody who knows the key answers under any of the addresses; says why of the last.
    """
    failure: OSError = ConnectionError("it has no address")
    for each in addresses:
        try:
            end = socket.create_connection((each, port), _CONNECT_SECONDS)
        except OSError as error:
            failure = error
            continue
        wire = _proven(end, key, first=False)
        if wire is not None:
            return wire
        failure = ConnectionError(f"who answers at {each}:{port} does not know the key")
    raise failure


def _proven(end: socket.socket, key: bytes, *, first: bool) -> Wire | None:
    """Have both ends prove that they know the key; the socket stays open only if they do."""
    end.setblocking(True)
    end.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("ll", 5, 0))
    steps = [deliver_challenge, answer_challenge]
    try:
        with Connection(os.dup(end.fileno())) as connection:
            for step in steps if first else reversed(steps):
                step(connection, key)
    except (AuthenticationError, OSError, EOFError):
        end.close()
        return None
    end.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("ll", 0, 0))
    return Wire(end)
