import asyncio

import numpy as np
import pytest

from gristmill.serve.replicas.process_replica import ProcessReplica
from gristmill.serve.runners.rows import Rows

ROWS = Rows({"x": np.ones(1)})


@pytest.fixture
def place():
    """A place whose batches are kept in `taken`."""
    taken, closed = [], []

    async def close(place):
        closed.append(place)

    place = ProcessReplica(3, 2, lambda place, task: taken.append((place, task)), close)
    place.taken, place.closed = taken, closed
    return place


class Process:
    born = 0.0


def test_it_is_idle_when_all_its_batches_are_answered(place):
    told = []
    for _ in range(2):
        place.start(ROWS, lambda *outcome: told.append((outcome, place.answered_by)))
    assert not place.idle.is_set()
    for at, (taken_by, task) in enumerate(place.taken):
        assert taken_by is place
        task.finish(ROWS, 0.5, f"model {at}")
    assert place.idle.is_set()
    assert told == [((ROWS, 0.5), "model 0"), ((ROWS, 0.5), "model 1")]


def test_processes_come_and_go(place):
    first, second = Process(), Process()
    assert (place.available, place.vacant.is_set()) == (False, True)
    place.problem = ValueError("gone")
    assert place.occupy(first) is None
    assert (place.available, place.vacant.is_set(), place.problem) == (True, False, None)
    assert place.occupy(second) is first
    place.vacate()
    assert (place.available, place.vacant.is_set()) == (False, True)
    assert place.lived > 0


def test_what_waits_can_be_withdrawn(place):
    place.waiting.extend([1, 2])
    assert place.withdraw() == [1, 2]
    assert place.withdraw() == []


def test_closing_is_the_sets_to_do(place):
    asyncio.run(place.close())
    assert place.closed == [place]
    assert (place.rank, place.depth) == (3, 2)
