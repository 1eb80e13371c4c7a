"""The order of visits beside one written out."""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from gristmill.train.jobs.visits import Visits

COUNTS = st.tuples(st.integers(1, 20), st.integers(1, 4), st.integers(1, 5), st.integers(1, 3))


@given(COUNTS)
def test_every_batch_passes_every_shard_in_order_on_one_device(counts):
    batches, at_once, shards, devices = counts
    visits = Visits(batches, at_once, shards, devices)
    seen = {}
    for device in range(devices):
        while (visit := visits.next(device)) is not None:
            ahead = visits.next(device, 1)
            visits.advance(device)
            assert ahead == visits.next(device)
            seen.setdefault(visit[0], []).append((device, visit[1]))
    assert sorted(seen) == list(range(len(visits.chunks)))
    assert [each for chunk in visits.chunks for each in chunk] == list(range(batches))
    for chunk, passed in seen.items():
        assert passed == [(chunk % devices, shard) for shard in range(shards)]


@given(COUNTS, st.data())
def test_the_next_visit_of_a_shard_is_so_far_away(counts, data):
    visits = Visits(*counts)
    for device in range(counts[3]):
        for _ in range(data.draw(st.integers(0, counts[2]))):
            if visits.next(device) is not None:
                visits.advance(device)
    for shard in range(counts[2]):
        places = [
            ahead
            for device in range(counts[3])
            for ahead in range(counts[2])
            if (visit := visits.next(device, ahead)) is not None and visit[1] == shard
        ]
        assert visits.away(shard) == min(places, default=math.inf)
