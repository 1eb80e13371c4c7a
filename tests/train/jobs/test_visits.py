"""The order of visits beside one written out."""

from __future__ import annotations

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
            assert visits.shard(device, 0) == visit[1]
            visits.advance(device)
            seen.setdefault(visit[0], []).append((device, visit[1]))
    assert sorted(seen) == list(range(len(visits.chunks)))
    assert [each for chunk in visits.chunks for each in chunk] == list(range(batches))
    for chunk, passed in seen.items():
        assert passed == [(chunk % devices, shard) for shard in range(shards)]


@given(COUNTS, st.data())
def test_a_chunk_is_begun_again_from_its_first_shard(counts, data):
    shards = counts[2]
    visits = Visits(*counts)
    begun = []
    for _ in range(data.draw(st.integers(0, 3 * shards))):
        if (visit := visits.next(0)) is not None:
            visits.advance(0)
            begun.append(visit)
    under_way = data.draw(st.integers(0, min(2, len(begun))))
    ended = begun[: len(begun) - under_way]
    visits.begin_again(0, under_way)
    whole = len(ended) // shards * shards  # what has ended of a chunk that has not is lost
    if (first := (begun[whole:] or [None])[0]) is not None:
        assert visits.next(0) == first
        assert first[1] == 0


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
            if visits.shard(device, ahead) == shard
        ]
        assert visits.away(shard) == min(places)


@given(COUNTS)
def test_after_the_last_visit_the_circle_goes_on(counts):
    visits = Visits(*counts)
    for device in range(counts[3]):
        while visits.next(device) is not None:
            visits.advance(device)
        assert [visits.shard(device, ahead) for ahead in range(counts[2])] == list(range(counts[2]))
