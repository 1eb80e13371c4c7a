"""No number is further than its threshold from what its unit makes of the numbers before it."""

from random import Random

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.incremental.drawing import drawn_change

from gristmill.incremental.bounded import bounded_step
from gristmill.incremental.bounded.comparing_cost import ComparingCost
from gristmill.incremental.bounded.sieve import let_through
from gristmill.incremental.execution.step import DENSE
from gristmill.incremental.graph.node import FRAME, Graph, Node
from gristmill.incremental.graph.operator import cut
from gristmill.incremental.planning.explanation import explained
from gristmill.incremental.regions.interval import Window
from gristmill.incremental.regions.rectangle import Rectangle
from gristmill.incremental.regions.region_set import RegionSet


def little_different(random, frame):
    """The frame with small whole numbers added at some places."""
    generator = torch.Generator().manual_seed(random.randrange(2**31))
    steps = torch.randint(-2, 3, frame.shape, generator=generator)
    return frame + steps * (torch.rand(frame.shape, generator=generator) < 0.2)


def distances(step, state):
    """Of each unit, the largest distance of a kept number from what the unit makes of others."""
    found = []
    for unit in step.units:
        kept = state.values[unit.root]
        found.append(float((unit.run(state.values) - kept).abs().max()))
    return found


@given(
    seed=st.integers(0, 2**32),
    scale=st.sampled_from([0.0, 0.1, 0.5, 3.0]),
    fixed=st.sampled_from([0.0, 3.0, 50.0]),
    dear=st.booleans(),
)
@settings(max_examples=50, deadline=None)
def test_the_invariant(graph_of, frame_of, bounded_of, seed, scale, fixed, dear):
    random = Random(seed)
    graph = graph_of(seed)
    cost = ComparingCost(random.choice([0.01, 30.0]), 0.0)
    step, bounded, steering = bounded_of(graph, fixed=fixed, whole=1e9 if dear else None, cost=cost)
    steering.scale = scale
    state = step.state()
    frame = frame_of(random, graph.input_shape)
    everywhere = RegionSet.whole(*graph.input_shape[1:])
    assert bounded.advance(state, frame, everywhere).whole
    for number in range(8):
        before = state.reference.clone()
        frame = little_different(random, before)
        changed = drawn_change(random, *graph.input_shape[1:], least=1, longest=6)
        plan = bounded.advance(state, frame, changed)
        assert not (plan.whole and dear)
        if not plan.whole:
            for rectangle in changed:
                cut(before, rectangle).copy_(cut(frame, rectangle))
            assert torch.equal(state.reference, before)
        for distance, threshold in zip(distances(step, state), bounded.thresholds, strict=True):
            assert distance <= threshold
        if scale == 0.0:
            full = graph.run(state.reference)
            assert all(torch.equal(state.values[u.root], full[u.root]) for u in step.units)
        if number == 4 and scale:
            bounded.audit(state, graph.outputs, number)
            steering.scale = scale
            assert not any(distances(step, state))


@pytest.fixture
def chain(operators):
    """Four convolutions in a row, all of them returned, so that all are kept."""
    random = Random(5)
    nodes = [
        Node(f"n{n}", operators["convolution"](random, 2, 2, Window(3, 1, 1)), (n - 1,))
        for n in range(1, 4)
    ]
    first = Node("n0", operators["convolution"](random, 2, 2, Window(3, 1, 1)), (FRAME,))
    return Graph((first, *nodes), (2, 40, 48), (0, 1, 2, 3))


def test_small_changes_wait_until_they_add_up(chain, frame_of, bounded_of):
    step, bounded, steering = bounded_of(chain)
    state = step.state()
    frame = frame_of(Random(0), chain.input_shape)
    bounded.advance(state, frame, RegionSet.whole(40, 48))
    steering.scale = 1.0
    assert min(bounded.thresholds) > 1.0
    place = RegionSet((Rectangle(10, 10, 14, 14),))
    seen = state.values[0].clone()
    waited = passed = 0
    for _ in range(60):
        frame = frame.clone()
        frame[:, :, 12, 12] += 0.125
        bounded.advance(state, frame, place)
        assert torch.equal(state.reference[:, :, 12, 12], frame[:, :, 12, 12])
        if torch.equal(state.values[0], seen):
            waited += 1
        else:
            passed += 1
            seen = state.values[0].clone()
    assert waited
    assert passed


def test_what_waits_is_not_computed_further_on(chain, frame_of, bounded_of, costs_of):
    step, bounded, steering = bounded_of(chain)
    state = step.state()
    frame = frame_of(Random(0), chain.input_shape)
    bounded.advance(state, frame, RegionSet.whole(40, 48))
    steering.scale = 100.0
    other = frame.clone()
    other[:, :, 20, 20] += 1.0
    plan = bounded.advance(state, other, RegionSet((Rectangle(20, 20, 21, 21),)))
    rows = explained(step.units, costs_of(step.units), plan)
    assert [row.does for row in rows] == ["rectangles", "skip", "skip", "skip"]
    assert rows[0].reached == 9 / (40 * 48)
    assert plan.predicted == pytest.approx(sum(plan.seconds))


def test_units_that_are_computed_in_full_are_compared_too(chain, frame_of, bounded_of):
    step, bounded, steering = bounded_of(chain, fixed=1e6)
    state = step.state()
    frame = frame_of(Random(0), chain.input_shape)
    bounded.advance(state, frame, RegionSet.whole(40, 48))
    steering.scale = 100.0
    plan = bounded.advance(state, frame + 1.0, RegionSet((Rectangle(20, 20, 21, 21),)))
    assert plan.orders[0] is DENSE
    assert plan.orders[1:] == ((), (), ())


def test_behind_a_map_that_differs_everywhere_nothing_is_compared(
    chain, frame_of, bounded_of, monkeypatch
):
    step, bounded, steering = bounded_of(chain)
    state = step.state()
    random = Random(0)
    everywhere = RegionSet.whole(40, 48)
    bounded.advance(state, frame_of(random, chain.input_shape), everywhere)
    steering.scale = 0.1
    asked = []

    def spied(found, kept, places, *others):
        asked.append(found)
        return let_through(found, kept, places, *others)

    monkeypatch.setattr(bounded_step, "let_through", spied)
    frame = frame_of(random, chain.input_shape) * 100.0
    plan = bounded.advance(state, frame, everywhere)
    assert plan.orders == (DENSE,) * 4
    assert len(asked) == 1
    assert not any(distances(step, state))
    # Where only some of it differs, all units are that are reached and have a reader.
    bounded.advance(state, frame + 100.0, RegionSet((Rectangle(9, 9, 12, 12),)))
    assert len(asked) == 1 + 3


def test_readers_get_few_places(chain, frame_of, bounded_of):
    step, bounded, steering = bounded_of(chain)
    state = step.state()
    everywhere = RegionSet.whole(40, 48)
    frame = frame_of(Random(0), chain.input_shape)
    bounded.advance(state, frame, everywhere)
    steering.scale = 0.1
    frame = frame.clone()
    frame[:, :, ::10, ::10] += 100.0
    plan = bounded.advance(state, frame, everywhere)
    assert 1 < len(plan.reached[1]) <= 16
    expected = chain.run(frame)
    for distance, threshold in zip(distances(step, state), bounded.thresholds, strict=True):
        assert distance <= threshold
    assert (state.values[0] - expected[0]).abs().max() <= bounded.thresholds[0]


def test_hopeless_frames_are_computed_whole(chain, frame_of, bounded_of):
    step, bounded, _ = bounded_of(chain, whole=1.0)
    state = step.state()
    everywhere = RegionSet.whole(40, 48)
    frame = frame_of(Random(0), chain.input_shape)
    plans = []
    for number in range(40):
        frame = frame_of(Random(number), chain.input_shape)
        plans.append(bounded.advance(state, frame, everywhere).whole)
    assert plans[0]
    assert plans.count(False) == 2  # the first that could be otherwise, and one that was tried
    assert torch.equal(state.values[3], chain.run(frame)[3])


def test_an_audit_measures_the_outputs_and_leaves_full_values(chain, frame_of, bounded_of):
    step, bounded, steering = bounded_of(chain)
    state = step.state()
    frame = frame_of(Random(0), chain.input_shape)
    everywhere = RegionSet.whole(40, 48)
    bounded.advance(state, frame, everywhere)
    steering.scale = 100.0
    bounded.advance(state, little_different(Random(1), frame), everywhere)
    answers = [state.values[number].clone() for number in range(4)]
    full = chain.run(state.reference)
    plan, audit = bounded.audit(state, chain.outputs, 7)
    assert plan.whole
    assert audit.picture == 7
    assert audit.scale == 100.0
    errors = [float((a - f).norm() / f.norm()) for a, f in zip(answers, full, strict=True)]
    assert audit.error == pytest.approx(max(errors))
    assert audit.error > 0.0
    assert all(torch.equal(state.values[number], full[number]) for number in range(4))
    assert list(steering.audits) == [audit]
