from __future__ import annotations

import pickle
import re
from itertools import chain

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from gristmill.core.errors import TrainError, UsageError
from gristmill.core.fingerprint import fingerprint
from gristmill.train.batches import epoch_batches
from gristmill.train.feeds.arrays import Arrays
from gristmill.train.feeds.batch import Batch
from gristmill.train.feeds.examples_dataset import ExamplesDataset
from gristmill.train.feeds.feed import Feed


class Lengthy(Arrays):
    """Numbers of which every third is of the same length."""

    @property
    def lengths(self) -> np.ndarray:
        return np.arange(len(self)) % 3


def numbers(rows: int, kind: type[Arrays] = Arrays) -> Arrays:
    return kind(np.arange(rows), targets=np.arange(rows))


def epoch(feed: Feed, number: int) -> list[list[int]]:
    steps = range((number - 1) * feed.steps_per_epoch, number * feed.steps_per_epoch)
    return [feed.batch(step).inputs[0].tolist() for step in steps]


@settings(deadline=None, max_examples=50)
@given(
    rows=st.integers(1, 200),
    size=st.integers(1, 60),
    seed=st.integers(0, 9),
    number=st.integers(1, 4),
    kind=st.sampled_from([Arrays, Lengthy]),
)
def test_every_row_comes_once_an_epoch(rows, size, seed, number, kind):
    found = epoch(Feed(numbers(rows, kind), size, seed), number)
    assert sorted(chain.from_iterable(found)) == list(range(rows))
    assert sorted(map(len, found)) == sorted(
        [size] * (rows // size) + [rows % size] * (rows % size > 0)
    )
    if kind is Arrays:
        assert all(len(batch) == size for batch in found[:-1])


@settings(deadline=None, max_examples=50)
@given(
    rows=st.integers(1, 200),
    size=st.integers(1, 60),
    kind=st.sampled_from([Arrays, Lengthy]),
    number=st.integers(1, 3),
)
def test_drop_last_leaves_full_batches(rows, size, kind, number):
    if rows < size:
        return
    found = epoch(Feed(numbers(rows, kind), size, 0, drop_last=True), number)
    every = epoch(Feed(numbers(rows, kind), size, 0), number)
    assert found == [batch for batch in every if len(batch) == size]


@settings(deadline=None, max_examples=50)
@given(steps=st.lists(st.integers(0, 60), min_size=1, max_size=20))
def test_a_batch_depends_on_its_step_alone(steps):
    feed = Feed(numbers(23), 5, seed=3)
    for step in steps:
        fresh = Feed(numbers(23), 5, seed=3).batch(step)
        assert torch.equal(feed.batch(step).inputs[0], fresh.inputs[0])
        assert feed.rows(step).tolist() == fresh.inputs[0].tolist()


def test_orders_are_keyed_by_seed_and_epoch():
    orders = [
        str(epoch(Feed(numbers(50), 5, seed), number)) for seed in (0, 1) for number in (1, 2)
    ]
    assert len(set(orders)) == 4
    assert str(epoch(Feed(numbers(50), 5, 0), 1)) == orders[0]


def test_steps_and_epochs():
    feed = Feed(numbers(23), 5, seed=0)
    assert feed.steps_per_epoch == 5
    assert [feed.epoch_of(step) for step in (0, 4, 5, 14)] == [1, 1, 2, 3]
    assert feed.batch(4).rows == 3


def test_fewer_rows_than_a_batch_are_one_short_batch():
    feed = Feed(numbers(3), 32, seed=0)
    assert feed.steps_per_epoch == 1
    assert sorted(feed.batch(7).inputs[0].tolist()) == [0, 1, 2]


def test_without_shuffling_rows_come_as_they_are():
    feed = Feed(numbers(7), 3, seed=0, shuffle=False)
    assert epoch(feed, 1) == epoch(feed, 2) == [[0, 1, 2], [3, 4, 5], [6]]


def test_rows_of_like_length_share_batches_as_in_fit(examples):
    dataset = ExamplesDataset(examples)
    feed = Feed(dataset, 16, seed=4)
    wanted = epoch_batches(dataset.lengths, 16, 4, 2)
    found = [feed.rows(feed.steps_per_epoch + place) for place in range(feed.steps_per_epoch)]
    assert [rows.tolist() for rows in found] == [rows.tolist() for rows in wanted]


def test_orders_of_two_epochs_are_kept_and_none_travels():
    feed = Feed(numbers(50), 5, seed=0)
    for step in (0, 10, 20, 0, 30):
        feed.batch(step)
    assert sorted(feed._orders) == [1, 4]
    copy = pickle.loads(pickle.dumps(feed))
    assert copy._orders == {}
    assert torch.equal(copy.batch(30).inputs[0], feed.batch(30).inputs[0])


def test_fingerprint_tells_what_batches_depend_on():
    found = [
        fingerprint(feed)
        for feed in (
            Feed(numbers(9), 2, 0), Feed(numbers(8), 2, 0), Feed(numbers(9), 3, 0),
            Feed(numbers(9), 2, 1), Feed(numbers(9), 2, 0, drop_last=True),
            Feed(numbers(9), 2, 0, shuffle=False),
        )
    ]  # fmt: skip
    assert len(set(found)) == 6
    assert fingerprint(Feed(numbers(9), 2, 0)) == found[0]


class Short:
    """A dataset that is wrong about itself."""

    def __init__(self, answer: object) -> None:
        self.answer = answer

    def __len__(self) -> int:
        return 4

    def take(self, rows):
        return self.answer


@pytest.mark.parametrize(
    ("answer", "found"),
    [(Batch((torch.ones(1),), None, torch.ones(1)), "1 rows"), ((1, 2), "'tuple'")],
)
def test_a_dataset_that_gives_something_else(answer, found):
    message = f"Short.take: expected a Batch of 2 rows, found {found}"
    with pytest.raises(TrainError, match=f"^{re.escape(message)}$"):
        Feed(Short(answer), 2, 0).batch(0)


def test_sizes_that_make_no_sense():
    with pytest.raises(UsageError, match=r"^batch_size must be at least 1, found 0$"):
        Feed(numbers(3), 0, 0)
    message = (
        "drop_last would drop all 3 rows, fewer than a batch of 4\n"
        "  fix: lower batch_size, or set drop_last=False to train on one short batch"
    )
    with pytest.raises(TrainError, match=f"^{re.escape(message)}$"):
        Feed(numbers(3), 4, 0, drop_last=True)


def test_no_rows():
    class Empty(Short):
        def __len__(self) -> int:
            return 0

    with pytest.raises(TrainError, match=r"^expected at least one row, found none$"):
        Feed(Empty(None), 4, 0)
