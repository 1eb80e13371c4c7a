from types import SimpleNamespace

import pytest

from gristmill.serve.server.large_body import LargeBody
from gristmill.serve.server.repeated_head import RepeatedHead

HEAD = b"POST /v1/predict HTTP/1.1\r\ncontent-length: 100\r\n\r\n"
AGAIN = RepeatedHead(HEAD, "/v1/predict", {}, 100)
WHOLE = bytes(range(100))


@pytest.fixture
def connection():
    """Stand in for a connection: its transport's protocols, and what it was told."""
    told, protocols = [], []
    found = SimpleNamespace(
        told=told,
        protocols=protocols,
        bodies=[],
        free=True,
        transport=SimpleNamespace(set_protocol=protocols.append),
        connection_lost=lambda error: told.append(("lost", error)),
        data_received=lambda data: told.append(("data", data)),
        pause_writing=lambda: told.append("pause"),
        resume_writing=lambda: told.append("resume"),
    )
    found.take_body = found.bodies.append
    found.begin_again = lambda _: found.free
    return found


def read(body, data):
    room = body.get_buffer(-1)
    room[: len(data)] = data
    body.buffer_updated(len(data))


def test_bytes_lie_where_they_belong(connection):
    body = LargeBody(connection, [WHOLE[:7], WHOLE[7:10]], len(WHOLE), None)
    for start, stop in ((10, 40), (40, 41), (41, 100)):
        assert len(body.get_buffer(-1)) == len(WHOLE) - start + 1
        assert connection.bodies == []
        read(body, WHOLE[start:stop])
    assert connection.bodies == [WHOLE]
    assert connection.protocols == [connection]
    connection.bodies[0][0] = 9  # may be written to


def test_the_next_request_with_the_same_head_lies_there_from_its_first_byte(connection):
    body = LargeBody(connection, [WHOLE[:10]], 100, AGAIN)
    read(body, WHOLE[10:])
    read(body, HEAD)
    assert len(connection.bodies) == 1
    read(body, WHOLE[::-1][:70])
    read(body, WHOLE[::-1][70:])
    read(body, HEAD + WHOLE)
    assert connection.bodies == [WHOLE, WHOLE[::-1], WHOLE]
    assert connection.protocols == []


@pytest.mark.parametrize("came", [b"GET / HTTP/1.1\r\n\r\n", HEAD[:9], HEAD.replace(b"P", b"p", 1)])
def test_anything_else_is_handed_back(connection, came):
    body = LargeBody(connection, [], 100, AGAIN)
    read(body, WHOLE)
    read(body, came)
    assert connection.protocols == [connection]
    assert connection.told == [("data", came)]


def test_a_request_before_the_answer_is_handed_back(connection):
    body = LargeBody(connection, [], 100, AGAIN)
    read(body, WHOLE)
    connection.free = False
    read(body, HEAD + WHOLE[:5])
    assert connection.protocols == [connection]
    assert connection.told == [("data", HEAD + WHOLE[:5])]


@pytest.mark.parametrize("again", [None, AGAIN])
def test_the_byte_behind_a_body_is_handed_back(connection, again):
    body = LargeBody(connection, [WHOLE[:10]], 100, again)
    read(body, WHOLE[10:] + b"P")
    assert connection.bodies == [WHOLE]
    assert connection.protocols == [connection]
    assert connection.told == [("data", b"P")]


def test_everything_else_is_the_connections(connection):
    body = LargeBody(connection, [], 10, None)
    body.pause_writing()
    body.resume_writing()
    body.connection_lost(None)
    assert connection.told == ["pause", "resume", ("lost", None)]
