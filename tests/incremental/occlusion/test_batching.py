"""Positions are divided into batches: every one is in one, and alike ones are together."""

from __future__ import annotations

import itertools

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from gristmill.incremental.occlusion.batching import batches

PIXEL = np.array([10.0, 100.0, 1.0])


def cost(divided, heights, widths, call):
    return sum(
        call + len(each) * float(heights[each].max(0) * widths[each].max(0) @ PIXEL)
        for each in divided
    )


@settings(max_examples=60, deadline=None)
@given(
    sizes=st.lists(st.tuples(*[st.integers(1, 6)] * 6), min_size=1, max_size=30),
    call=st.sampled_from([0.0, 500.0, 1e9]),
    largest=st.integers(1, 8),
)
def test_every_position_is_in_one_batch_and_no_joining_is_dearer(sizes, call, largest):
    found = np.array(sizes, np.int64).reshape(-1, 6)
    heights, widths = found[:, :3], found[:, 3:]
    divided = batches(heights, widths, PIXEL, call, largest)
    assert sorted(itertools.chain(*divided)) == list(range(len(sizes)))
    assert all(0 < len(each) <= largest for each in divided)
    alone = [[number] for number in range(len(sizes))]
    bound = cost(alone, heights, widths, call)
    assert cost(divided, heights, widths, call) <= bound * (1 + 1e-9)


def test_alike_positions_are_together_and_others_apart_unless_calls_are_dear():
    sizes = np.array([[3, 3, 3]] * 4 + [[9, 9, 9]] * 4)
    apart = batches(sizes, sizes, PIXEL, 10.0)
    assert apart == [[0, 1, 2, 3], [4, 5, 6, 7]]
    assert batches(sizes, sizes, PIXEL, 1e9) == [list(range(8))]
