import os
import resource
import socket

import pytest

from gristmill.core.errors import DataError
from gristmill.core.processes.packets import (
    AT_ONCE,
    MOST_FDS,
    close_all,
    receive_packet,
    send_packet,
)


@pytest.fixture
def ends():
    near, far = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with near, far:
        yield near, far


@pytest.fixture
def receive():
    """Receive a message as bytes and descriptors."""

    def received(end, flags=0):
        buffer = memoryview(bytearray(1000))
        nbytes, fds = receive_packet(end, buffer, DataError, flags)
        return bytes(buffer[:nbytes]), fds

    return received


def test_messages_keep_their_order_and_borders(ends, receive):
    near, far = ends
    for number in range(1, 5):
        send_packet(near, [b"a" * number, memoryview(b"b")], ())
    assert [receive(far) for _ in range(4)] == [(b"a" * n + b"b", []) for n in range(1, 5)]
    with pytest.raises(BlockingIOError):
        receive(far, AT_ONCE)


def test_a_slow_reader_is_not_waited_for(ends):
    def send_much():
        for _ in range(1000):
            send_packet(ends[0], [bytes(32_000)], (), AT_ONCE)

    with pytest.raises(BlockingIOError):
        send_much()


def test_descriptors_come_along_and_do_not_outlive_an_exec(ends, receive):
    near, far = ends
    theirs, ours = os.pipe()
    send_packet(near, [b"x"], [theirs] * MOST_FDS)
    data, fds = receive(far)
    assert (data, len(set(fds))) == (b"x", MOST_FDS)
    os.write(ours, b"hello")
    assert os.read(fds[-1], 5) == b"hello"
    assert not any(map(os.get_inheritable, fds))
    close_all([theirs, ours, *fds])


def test_what_was_sent_before_the_end_can_be_read(ends, receive):
    near, far = ends
    send_packet(far, [b"unread"], ())  # lies there when the other side goes: a reset is told
    send_packet(near, [b"last words"], ())
    near.close()
    assert receive(far) == (b"last words", [])
    with pytest.raises(EOFError):
        receive(far)


def test_sending_to_nobody_is_an_error_and_no_signal(ends):
    near, far = ends
    far.close()
    with pytest.raises(BrokenPipeError):
        send_packet(near, [b"anybody?"], ())


@pytest.mark.parametrize("room", [0, 2])
def test_lost_descriptors_are_an_error_and_the_rest_is_closed(ends, receive, room):
    near, far = ends
    send_packet(near, [b"x"], [0] * 4)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    free = [os.dup(0) for _ in range(room + 1)]
    close_all(free)
    resource.setrlimit(resource.RLIMIT_NOFILE, (free[room], hard))
    try:
        with pytest.raises(DataError) as caught:
            receive(far)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert str(caught.value) == (
        "a message lost its file descriptors: too many files are open in this process\n"
        "  fix: raise the limit of open files (ulimit -n)"
    )
    again = [os.dup(0) for _ in range(room + 1)]
    close_all(again)
    assert again == free
