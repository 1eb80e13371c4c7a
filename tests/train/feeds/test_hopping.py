from __future__ import annotations

import pickle
from itertools import chain

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from gristmill.core.errors import TrainError, UsageError
from gristmill.core.fingerprint import fingerprint
from gristmill.core.seeds import derive_seed
from gristmill.train.feeds.arrays import Arrays
from gristmill.train.feeds.dataset import Subset
from gristmill.train.feeds.feed import Feed
from gristmill.train.feeds.hopping import PartitionedFeed, partition_order
from gristmill.train.feeds.shared import Shared

SIZES = st.lists(st.integers(1, 23), min_size=1, max_size=6)


def parts(sizes: list[int]) -> list[Arrays]:
    ends = np.cumsum([0, *sizes])
    return [Arrays(np.arange(*ends[at : at + 2])) for at in range(len(sizes))]


@settings(deadline=None, max_examples=50)
@given(
    partitions=st.integers(1, 9),
    epoch=st.integers(1, 5),
    group=st.integers(0, 3),
    seed=st.integers(0, 5),
)
def test_trials_of_a_group_make_a_latin_square(partitions, epoch, group, seed):
    trials = range(group * partitions, (group + 1) * partitions)
    square = np.stack([partition_order(seed, epoch, trial, partitions) for trial in trials])
    every = list(range(partitions))
    assert all(sorted(row) == every for row in square.tolist())
    assert all(sorted(column) == every for column in square.T.tolist())


def test_orders_are_keyed_by_seed_epoch_and_trial():
    keys = [(0, 1, 0), (1, 1, 0), (0, 2, 0), (0, 1, 1), (0, 1, 12)]
    orders = [tuple(partition_order(*key, 12).tolist()) for key in keys]
    assert len(set(orders)) == 5


@settings(deadline=None, max_examples=50)
@given(sizes=SIZES, batch=st.integers(1, 9), trial=st.integers(0, 12), drop=st.booleans())
def test_hopping_is_sequential_training_on_the_partitions(sizes, batch, trial, drop):
    if drop and min(sizes) < batch:
        return
    data = parts(sizes)
    feed = PartitionedFeed(data, batch, 7, trial, drop_last=drop)
    wanted = []
    for epoch in (1, 2):
        for partition in partition_order(7, epoch, trial, len(sizes)).tolist():
            own = Feed(data[partition], batch, derive_seed(7, "partition", partition), drop)
            first = (epoch - 1) * own.steps_per_epoch
            steps = range(first, first + own.steps_per_epoch)
            wanted += [(partition, own.batch(step).inputs[0].tolist()) for step in steps]
    assert len(wanted) == 2 * feed.steps_per_epoch
    for step in reversed(range(len(wanted))):
        assert feed.visit_of(step).partition == wanted[step][0]
        assert feed.batch(step).inputs[0].tolist() == wanted[step][1]
        assert len(feed.rows(step)) == len(wanted[step][1])


@settings(deadline=None, max_examples=50)
@given(sizes=SIZES, batch=st.integers(1, 9), epoch=st.integers(1, 3))
def test_an_epoch_sees_every_row_once(sizes, batch, epoch):
    feed = PartitionedFeed(parts(sizes), batch, 0)
    steps = range((epoch - 1) * feed.steps_per_epoch, epoch * feed.steps_per_epoch)
    seen = [feed.batch(step).inputs[0].tolist() for step in steps]
    assert sorted(chain.from_iterable(seen)) == list(range(sum(sizes)))
    assert {feed.epoch_of(step) for step in steps} == {epoch}
    visits = feed.visits(epoch)
    assert [visit.first for visit in visits] == [steps.start, *[v.last for v in visits[:-1]]]
    assert visits[-1].last == steps.stop


def test_a_worker_opens_only_the_partitions_that_it_reads():
    opened = []

    class Handle:
        def __init__(self, number: int, data: Arrays) -> None:
            self.number, self.data, self.rows = number, data, len(data)

        def open(self) -> Arrays:
            opened.append(self.number)
            return self.data

    data = parts([10, 10, 10])
    feed = PartitionedFeed([Handle(*each) for each in enumerate(data)], 4, 0)
    visit = feed.visits(1)[1]
    for step in range(visit.first, visit.last):
        feed.batch(step)
    assert opened == [visit.partition]
    plain = PartitionedFeed(data, 4, 0)
    assert torch.equal(feed.batch(8).inputs[0], plain.batch(8).inputs[0])


def test_partitions_in_shared_memory():
    data = parts([10, 7])
    held = [Shared(each) for each in data]
    feed = PartitionedFeed([each.handle for each in held], 4, 0, trial=1)
    feed.batch(0)
    travelled, plain = pickle.loads(pickle.dumps(feed)), PartitionedFeed(data, 4, 0, trial=1)
    assert travelled._feeds == {}
    for step in range(plain.steps_per_epoch):
        assert torch.equal(travelled.batch(step).inputs[0], plain.batch(step).inputs[0])
    for each in held:
        each.close()


def test_fingerprint_tells_what_batches_depend_on():
    data = parts([5, 6])
    found = [
        PartitionedFeed(data, 2, 0), PartitionedFeed(data[::-1], 2, 0), PartitionedFeed(data, 3, 0),
        PartitionedFeed(data, 2, 1), PartitionedFeed(data, 2, 0, 1),
        PartitionedFeed(data, 2, 0, drop_last=True),
    ]  # fmt: skip
    assert len(set(map(fingerprint, found))) == 6


def test_partitions_that_cannot_be_used():
    with pytest.raises(UsageError, match=r"^expected at least one partition, found none$"):
        PartitionedFeed([], 2, 0)
    empty = Subset(parts([3])[0], np.array([], dtype=np.int64))
    with pytest.raises(TrainError, match=r"^expected at least one row, found none$"):
        PartitionedFeed([*parts([3]), empty], 2, 0)
