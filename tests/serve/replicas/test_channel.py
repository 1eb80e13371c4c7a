import os
import resource

import numpy as np
import pytest

from gristmill.core.errors import ServeError
from gristmill.serve.replicas.channel import (
    BODY_BYTES,
    MOST_FDS,
    Channel,
    Note,
    close_all,
    pair,
)
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


def test_messages_keep_their_order_and_borders(ends):
    near, far = ends
    for number in range(5):
        near.send(Note(0, number=number), b"x" * number)
    found = [far.wait() for _ in range(5)]
    assert [message.note.number for message in found] == list(range(5))
    assert far.receive() is None


def test_descriptors_come_along_and_do_not_outlive_an_exec(ends):
    near, far = ends
    theirs, ours = os.pipe()
    near.send(NOTE, b"", [theirs])
    (found,) = far.receive().fds
    os.write(ours, b"hello")
    assert os.read(found, 5) == b"hello"
    assert not os.get_inheritable(found)
    close_all([theirs, ours, found])


def test_what_was_sent_before_the_end_can_be_read(ends):
    near, far = ends
    far.send(NOTE, b"unread")  # lies there when the other side goes: it is told of a reset
    near.send(NOTE, b"last words")
    near.close()
    assert bytes(far.receive().body) == b"last words"
    with pytest.raises(EOFError):
        far.receive()


def test_sending_to_nobody_is_an_error_and_no_signal(ends):
    near, far = ends
    far.close()
    with pytest.raises(BrokenPipeError):
        near.send(NOTE)


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
