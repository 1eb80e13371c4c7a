from __future__ import annotations

import re

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from gristmill.core.errors import TrainError, UsageError
from gristmill.train.feeds.batch import Batch, part_sizes


def made(rows: int) -> Batch:
    numbers = torch.arange(rows)
    inputs = (numbers.float()[:, None].expand(rows, 3).contiguous(), numbers)
    return Batch(inputs, {"a": numbers * 2, "b": (numbers, None)}, numbers.float() / 4)


@settings(deadline=None, max_examples=50)
@given(rows=st.integers(0, 300), parts=st.integers(1, 40))
def test_part_sizes_by_dealing_cards(rows, parts):
    hands = [0] * parts
    for card in range(rows):
        hands[card % parts] += 1
    assert part_sizes(rows, parts) == [hand for hand in hands if hand]


@settings(deadline=None, max_examples=50)
@given(rows=st.integers(1, 60), parts=st.integers(1, 70))
def test_split_covers_every_row_in_order(rows, parts):
    batch = made(rows)
    found = batch.split(parts)
    assert [part.rows for part in found] == part_sizes(rows, parts)
    for take in (
        lambda part: part.inputs[0],
        lambda part: part.inputs[1],
        lambda part: part.targets["a"],
        lambda part: part.targets["b"][0],
        lambda part: part.weights,
    ):
        assert torch.equal(torch.cat([take(part) for part in found]), take(batch))
        assert all(take(part).data_ptr() % 64 == 0 for part in found)
    assert all(part.targets["b"][1] is None for part in found)
    assert sum(part.weight for part in found) == batch.weight == sum(range(rows)) / 4


def test_weight_is_summed_in_float64():
    weights = torch.full((1_000_001,), 0.1)
    batch = Batch((weights,), None, weights)
    assert batch.weight == pytest.approx(1_000_001 * weights[0].double().item(), rel=1e-12)


def test_to_the_device_where_it_is_changes_nothing():
    batch = made(4)
    assert batch.to("cpu") is batch
    moved = batch.to("meta")
    assert {moved.inputs[0].device.type, moved.targets["a"].device.type} == {"meta"}


def test_no_parts_are_refused():
    with pytest.raises(UsageError, match=r"^micro_batches must be at least 1, found 0$"):
        made(3).split(0)


@pytest.mark.parametrize(
    ("inputs", "targets", "weights", "message"),
    [
        ((), None, torch.ones(2), "expected a tuple of input tensors, found ()"),
        (
            (torch.ones(2),), None, torch.ones(2, dtype=torch.float64),
            "the weights of a batch are float32[rows], found torch.float64[2]",
        ),
        (
            (torch.ones(2),), None, torch.ones(2, 1),
            "the weights of a batch are float32[rows], found torch.float32[2, 1]",
        ),
        (
            (torch.ones(3, 4),), None, torch.ones(2),
            "a batch of 2 weights has a tensor of shape [3, 4]",
        ),
        (
            (torch.ones(2),), (torch.tensor(1.0),), torch.ones(2),
            "a batch of 2 weights has a tensor of shape []",
        ),
    ],
)  # fmt: skip
def test_batches_that_cannot_be(inputs, targets, weights, message):
    with pytest.raises(TrainError, match=f"^{re.escape(message)}$"):
        Batch(inputs, targets, weights)
