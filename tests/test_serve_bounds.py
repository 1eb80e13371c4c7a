"""The bounds that the benchmark of overload compares with, against all schedules tried out."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

import numpy as np
import pytest

BENCHMARKS = Path(__file__).resolve().parent.parent / "benchmarks"
ALLOWED = 1.5


@pytest.fixture(scope="module")
def bounds():
    sys.path.insert(0, str(BENCHMARKS))
    yield importlib.import_module("serve_bounds")
    sys.path.remove(str(BENCHMARKS))
    sys.modules.pop("serve_bounds", None)


def best(at, work, machine):
    """Return the most work in time of all choices of requests, cut into batches in all ways."""
    found = 0.0
    for chosen in range(1 << len(at)):
        places = [place for place in range(len(at)) if chosen >> place & 1]
        worth = sum(work[place] for place in places)
        if worth > found and in_time(at, work, machine, places, 0.0):
            found = worth
    return found


def in_time(at, work, machine, places, free):
    if not places:
        return True
    for size in range(1, min(len(places), machine.rows) + 1):
        batch = places[:size]
        begun = max(free, at[batch[-1]])
        end = begun + machine.fixed + machine.per_work * sum(work[place] for place in batch)
        if end <= at[batch[0]] + ALLOWED and in_time(at, work, machine, places[size:], end):
            return True
    return False


@pytest.mark.parametrize("seed", range(40))
def test_the_best_schedule_lies_between_the_bounds(bounds, seed):
    draw = np.random.default_rng(seed)
    count = int(draw.integers(1, 8))
    at, work = np.sort(draw.random(count) * draw.choice([0.5, 2.0, 5.0])), draw.random(count) + 0.2
    machine = bounds.Machine(0.3, 0.4, 3)
    low = bounds.foreseen(at, work, ALLOWED, machine)
    high = bounds.unreachable(at, work, ALLOWED, machine)
    most = best(at, work, machine)
    assert 0.85 * most - 1e-9 <= low <= most + 1e-9
    assert most <= high + 1e-9
