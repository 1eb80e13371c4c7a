"""Connections between machines, here between threads of one."""

from __future__ import annotations

import ctypes
import errno
import socket
import struct
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from gristmill.core.errors import TrainError
from gristmill.train.workers import wire
from gristmill.train.workers.wire import accept, connect, hosts, listen

KEY = b"k" * 32


@pytest.fixture
def called():
    """A function that calls a listening end with a key; returns what both ends make of it."""
    with listen() as listening, ThreadPoolExecutor(1) as aside:
        port = listening.getsockname()[1]

        def call(key=KEY, addresses=("127.0.0.1",)):
            other = aside.submit(lambda: accept(listening.accept()[0], KEY))
            return connect(addresses, port, key), other.result()

        yield call


def test_messages_and_the_bytes_behind_them(called):
    near, far = called()
    sent, room = np.arange(5000, dtype=np.uint8), np.zeros(5000, np.uint8)
    near.send(("run", 7), [sent.data[:3000], sent.data[3000:]])
    assert far.receive() == ("run", 7)
    far.fill([room.data[:1], room.data[1:]])
    assert np.array_equal(sent, room)
    far.close()
    with pytest.raises(EOFError):
        near.receive()
    near.close()


def test_objects_with_arrays_and_functions(called):
    near, far = called()
    value = {"rows": np.arange(9.0), "twice": lambda x: 2 * x}
    near.send_object(value)
    found = far.receive_object()
    assert np.array_equal(found["twice"](found["rows"]), 2 * value["rows"])
    found["rows"][0] = 1  # its own memory
    with pytest.raises(TrainError, match=r"^cannot be sent to another machine: .*generator"):
        near.send_object(iter(each for each in "ab"))
    near.close()
    far.close()


def test_who_does_not_know_the_key_is_not_talked_to(called):
    with pytest.raises(ConnectionError, match="does not know the key"):
        called(key=b"x" * 32)


def test_the_first_address_that_answers_is_taken(called):
    near, far = called(addresses=("127.0.0.2.invalid", "127.0.0.1"))
    near.send("hello")
    assert far.receive() == "hello"
    near.close()
    far.close()
    assert hosts()[-1] == "127.0.0.1"


def test_nobody_is_there():
    with listen() as listening:
        port = listening.getsockname()[1]
    with pytest.raises(OSError, match="refused"):
        connect(["127.0.0.1"], port, KEY)


DROP_ALL = struct.pack("HBBI", 0x06, 0, 0, 0)
"""A program for the system's packet filter: return 0, that is, let nothing pass."""
SO_ATTACH_FILTER = 26  # Linux's, which Python has no name for


def deafen(end):
    """Have a socket take in nothing and acknowledge nothing, like a machine without power."""
    program = ctypes.create_string_buffer(DROP_ALL)
    pointed = struct.pack("HL", 1, ctypes.addressof(program))
    end.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, pointed)


@pytest.mark.skipif(sys.platform != "linux", reason="asks Linux to drop packets")
def test_a_machine_that_falls_silent_is_given_up(called, monkeypatch):
    soon = {name: min(value, 300) for name, value in wire._PATIENCE.items()}
    monkeypatch.setattr(wire, "_PATIENCE", soon)
    near, far = called()
    for each in (near, far):  # the other would give up, too, and be heard
        deafen(each._socket)
    near._socket.settimeout(30.0)  # a timeout of Python's has no number
    near.send("anybody there?")
    with pytest.raises(TimeoutError) as caught:
        near.receive()
    assert caught.value.errno == errno.ETIMEDOUT
    near.close()
    far.close()
