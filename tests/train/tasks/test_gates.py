"""Gates: inverses of one another, and complete."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gristmill.train.tasks.gates import Depth, Flush, Interleaved, one_forward_one_backward


@st.composite
def gates(draw):
    """A gate with its stages and micro-batches."""
    devices, chunks, times = (draw(st.integers(1, 4)) for _ in range(3))
    depth, micros = devices * chunks, devices * times
    return (
        depth,
        micros,
        draw(
            st.sampled_from(
                [
                    Flush(micros),
                    Depth(tuple(draw(st.integers(1, 5)) for _ in range(depth))),
                    one_forward_one_backward(depth, micros),
                    Interleaved(devices, chunks, micros),
                ]
            )
        ),
    )


@given(gates())
def test_opens_is_the_inverse_of_needs(case):
    depth, micros, gate = case
    places = [(stage, micro) for stage in range(depth) for micro in range(micros)]
    needed = {gate.needs(*place): place for place in places if gate.needs(*place)}
    opened = {place: gate.opens(*place) for place in places}
    assert needed == {place: each for place, each in opened.items() if each and each[1] < micros}


@given(gates())
def test_frees_is_the_inverse_of_holds_for_the_next_backward(case):
    depth, micros, gate = case
    for stage in range(depth):
        for micro in range(micros):
            freed = gate.frees(stage, micro)
            if freed is not None:
                assert gate.holds(*freed) == (stage, micro)


@given(st.integers(1, 4), st.integers(1, 3), st.integers(1, 3))
def test_interleaved_turns_are_an_order_of_all_tasks_of_a_device(devices, chunks, times):
    gate = Interleaved(devices, chunks, devices * times)
    for device in range(devices):
        for backward in (False, True):
            places = [
                gate.at(device, each, backward=backward) for each in range(chunks * gate.micros)
            ]
            assert len(set(places)) == len(places)
            turns = [gate.turn(*place, backward) for place in places]
            assert turns == sorted(set(turns))
            assert [gate.position(*place, backward=backward) for place in places] == list(
                range(len(places))
            )


@pytest.mark.parametrize(
    ("depth", "micros", "bounds"), [(4, 9, (4, 3, 2, 1)), (4, 2, (2, 2, 2, 1))]
)
def test_1f1b_keeps_at_most_the_stages_that_follow(depth, micros, bounds):
    assert one_forward_one_backward(depth, micros) == Depth(bounds)
