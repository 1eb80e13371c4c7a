from types import SimpleNamespace

import pytest

from gristmill.serve.server.large_body import LargeBody


@pytest.fixture
def connection():
    """Stand in for a connection: its transport's protocols, and what it was told."""
    told, protocols = [], []
    return SimpleNamespace(
        told=told,
        protocols=protocols,
        transport=SimpleNamespace(set_protocol=protocols.append),
        connection_lost=lambda error: told.append(("lost", error)),
        pause_writing=lambda: told.append("pause"),
        resume_writing=lambda: told.append("resume"),
    )


def test_bytes_lie_where_they_belong(connection):
    bodies, whole = [], bytes(range(100))
    body = LargeBody(connection, [whole[:7], whole[7:10]], len(whole), bodies.append)
    for start, stop in ((10, 40), (40, 41), (41, 100)):
        room = body.get_buffer(-1)
        assert len(room) == len(whole) - start
        room[: stop - start] = whole[start:stop]
        assert bodies == []
        body.buffer_updated(stop - start)
    assert bodies == [whole]
    assert connection.protocols == [connection]
    bodies[0][0] = 9  # may be written to


def test_everything_else_is_the_connections(connection):
    body = LargeBody(connection, [], 10, print)
    body.pause_writing()
    body.resume_writing()
    body.connection_lost(None)
    assert connection.told == ["pause", "resume", ("lost", None)]
