import os
import resource

import numpy as np
import pytest

from gristmill.core.errors import ServeError
from gristmill.core.processes.packets import MOST_FDS, close_all
from gristmill.serve.replicas.channel import BODY_BYTES, Channel, Note, pair
from gristmill.serve.replicas.codec import ALIGNMENT

NOTE = Note(3, 1, 77, 2**40, 2**50, 0.25)


@pytest.fixture
def ends():
    near, far = pair()
    other = Channel(far)
    yield near, other
    near.close()
    other.close()


@pytest.mark.parametrize("size", [0, 1, 1000, BODY_BYTES])
def test_messages_arrive_whole(ends, size):
    near, far = ends
    body = np.arange(size, dtype=np.uint8)
    near.send(NOTE, body.data)
    found = far.receive()
    assert found.note == NOTE
    assert (found.body == body).all()
    assert found.body.ctypes.data % ALIGNMENT == 0
    assert found.fds == []


def test_nothing_there_is_none(ends):
    assert ends[0].receive() is None


def test_waiting_takes_what_is_there(ends):
    near, far = ends
    near.send(NOTE, b"x")
    assert bytes(far.wait().body) == b"x"
    near.close()
    with pytest.raises(EOFError):
        far.wait()


def test_a_slow_reader_is_not_waited_for(ends):
    def send_much():
        for _ in range(100):
            ends[0].send(NOTE, b"x" * BODY_BYTES)

    with pytest.raises(BlockingIOError):
        send_much()


def test_a_batch_and_a_ping_fit_whatever_is_read(ends):
    for _ in range(3):
        ends[0].send(NOTE, b"x" * BODY_BYTES)


def test_lost_descriptors_are_an_error(ends):
    near, far = ends
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    fds = [os.dup(0) for _ in range(MOST_FDS)]
    near.send(NOTE, b"", fds)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(fds) + 2, hard))
        with pytest.raises(ServeError, match="a message lost its file descriptors"):
            far.receive()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        close_all(fds)
