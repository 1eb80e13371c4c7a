"""After every step each kept value is, bit for bit, what the whole run gives."""

from random import Random

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.incremental.drawing import drawn_change, drawn_rectangle

from gristmill.core.errors import UsageError
from gristmill.incremental.execution.partition import partition
from gristmill.incremental.execution.step import DENSE, SKIP, Step
from gristmill.incremental.graph.node import FRAME, Graph, Node
from gristmill.incremental.graph.operator import cut
from gristmill.incremental.regions.interval import Window
from gristmill.incremental.regions.rectangle import Rectangle
from gristmill.incremental.regions.region_set import NOWHERE, RegionSet


def reached(units, changed):
    """What each unit's root may have changed in, without the planner."""
    places = {FRAME: changed}
    for unit in units:
        found = NOWHERE
        for source in unit.sources:
            found = found.united(unit.reached(source, places[source]))
        places[unit.root] = found
    return [places[unit.root] for unit in units]


def drawn_order(random, unit, reach):
    """Any order that covers what is reached, sensible or not."""
    choice = random.random()
    if not unit.regional:
        return DENSE if reach or choice < 0.2 else SKIP
    if choice < 0.25:
        return DENSE
    rectangles = list(reach)
    if choice < 0.5 and rectangles:
        box = rectangles[0]
        for rectangle in rectangles[1:]:
            box = box.united(rectangle)
        rectangles = [box]
    if choice < 0.75:
        rectangles.append(drawn_rectangle(random, unit.height, unit.width))
    random.shuffle(rectangles)
    return tuple(rectangles)


def assert_current(step, state):
    expected = [*step.graph.run(state.reference), state.reference]
    roots = {unit.root for unit in step.units}
    for number, value in enumerate(state.values[:-1]):
        assert (value is not None) == (number in roots)
        if value is not None:
            assert torch.equal(value, expected[number]), step.graph.nodes[number].name


@given(
    seed=st.integers(0, 2**32),
    halo=st.sampled_from([0.0, 1.2, 100.0]),
    wide=st.sampled_from([0.0, 1.5]),
    exact=st.booleans(),
    kept=st.sampled_from([None, 0.5, 1.0, 1.5]),
)
@settings(max_examples=50, deadline=None)
def test_any_orders_that_cover_the_change_keep_every_value(
    graph_of, frame_of, seed, halo, wide, exact, kept
):
    random = Random(seed)
    graph = graph_of(seed)
    step = Step(graph, partition(graph, exact=exact, halo=halo, wide=wide, state=kept))
    state = step.state()
    shape = graph.input_shape
    step.whole(state, frame_of(random, shape))
    assert_current(step, state)
    for _ in range(6):
        before = state.reference.clone()
        frame = frame_of(random, shape)
        changed = drawn_change(random, *shape[1:])
        reach = reached(step.units, changed)
        orders = [drawn_order(random, *pair) for pair in zip(step.units, reach, strict=True)]
        step.update(state, frame, changed, orders)
        for rectangle in changed:
            cut(before, rectangle).copy_(cut(frame, rectangle))
        assert torch.equal(state.reference, before)
        assert_current(step, state)


@given(seed=st.integers(0, 2**32))
@settings(max_examples=40, deadline=None)
def test_what_is_not_reached_never_changes(graph_of, frame_of, seed):
    random = Random(seed)
    graph = graph_of(seed)
    units = partition(graph)
    first = frame_of(random, graph.input_shape)
    changed = drawn_change(random, *graph.input_shape[1:])
    second = first.clone()
    for rectangle in changed:
        cut(second, rectangle).copy_(cut(frame_of(random, graph.input_shape), rectangle))
    before, after = graph.run(first), graph.run(second)
    for unit, reach in zip(units, reached(units, changed), strict=True):
        differs = before[unit.root] != after[unit.root]
        if unit.shape[1:]:
            for rectangle in reach:
                cut(differs, rectangle).fill_(False)
            assert not differs.any()
        else:
            assert reach or not differs.any()


def residual(operators):
    """Two convolutions, an addition of what goes in, a square; a sum over places, a square."""
    random = Random(3)
    window = Window(3, 1, 1)
    return Graph(
        (
            Node("first", operators["convolution"](random, 2, 2, window), (FRAME,)),
            Node("second", operators["convolution"](random, 2, 2, window), (0,)),
            Node("add", operators["add"](), (1, FRAME)),
            Node("square", operators["square"](), (2,)),
            Node("blend", operators["blend"](), (3,)),
            Node("last", operators["square"](), (4,)),
        ),
        (2, 20, 24),
        (5,),
    )


def test_what_only_its_reader_takes_is_computed_with_it_and_not_kept(operators, frame_of):
    graph = residual(operators)
    units = partition(graph, wide=0.0)
    assert [unit.nodes for unit in units] == [(0,), (1, 2, 3), (4,), (5,)]
    assert units[1].sources == (0, FRAME)
    assert [unit.regional for unit in units] == [True, True, False, True]
    step = Step(graph, units)
    state = step.state()
    step.whole(state, frame_of(Random(0), graph.input_shape))
    pixels = 20 * 24
    assert state.bytes_ == 4 * (2 + 2 + 2 + 2 + 2) * pixels
    state.forget()
    assert state.bytes_ == 0


def test_what_a_rectangle_takes_has_one_size_wherever_it_lies(operators):
    unit = partition(residual(operators), halo=100.0)[0]
    assert unit.nodes == (0, 1, 2, 3)
    places = [Rectangle(top, left, top + 4, left + 6) for top in range(17) for left in range(19)]
    sizes = {tuple((r.height, r.width) for r in unit.needed(place)) for place in places}
    assert sizes == {((6, 8), (4, 6), (4, 6), (4, 6))}
    assert all(
        r.contains(unit.needed(place)[-1]) and Rectangle.whole(20, 24).contains(r)
        for place in places
        for r in unit.needed(place)
    )


def test_a_wide_map_that_is_cheap_is_not_kept_but_what_makes_less_of_more_is(operators):
    random = Random(0)
    window = Window(3, 1, 1)
    nodes = (
        Node("narrow", operators["convolution"](random, 4, 2, window), (FRAME,)),
        Node("widen", operators["convolution"](random, 2, 6, window), (0,)),
        Node("last", operators["convolution"](random, 6, 4, window), (1,)),
    )
    graph = Graph(nodes, (4, 40, 40), (2,))
    assert [unit.nodes for unit in partition(graph)] == [(0,), (1, 2)]
    assert [unit.nodes for unit in partition(graph, wide=0.0)] == [(0,), (1,), (2,)]


def test_an_addition_is_reached_by_either_branch(operators):
    unit = partition(residual(operators), wide=0.0)[1]
    place = Rectangle(4, 4, 6, 6)
    assert unit.reached(0, RegionSet((place,))) == RegionSet((Rectangle(3, 3, 7, 7),))
    assert unit.reached(FRAME, RegionSet((place,))) == RegionSet((place,))
    assert unit.needed(place) == (place, place, place)


def test_after_a_global_operator_all_is_reached_but_only_if_something_is(operators):
    units = partition(residual(operators), wide=0.0)
    place = RegionSet((Rectangle(0, 0, 1, 1),))
    found = reached(units, place)
    assert found[2] == found[3] == RegionSet.whole(20, 24)
    assert not any(reached(units, NOWHERE))


def test_inexact_operators_are_computed_in_full_unless_rounding_is_allowed(operators):
    graph = Graph((Node("s", operators["square"](exact=False), (FRAME,)),), (1, 4, 4), (0,))
    assert [unit.regional for unit in partition(graph, wide=0.0)] == [False]
    assert [unit.regional for unit in partition(graph, exact=False)] == [True]


def test_frames_of_another_size_are_refused(operators, frame_of):
    graph = residual(operators)
    step = Step(graph, partition(graph, wide=0.0))
    with pytest.raises(UsageError) as error:
        step.whole(step.state(), frame_of(Random(0), (2, 20, 25)))
    assert str(error.value) == (
        "expected a frame of shape [1, 2, 20, 24], found [1, 2, 20, 25]\n"
        "  fix: a stream whose frames change their size starts anew with the new one"
    )


def test_a_state_without_values_cannot_be_updated_or_read(operators, frame_of):
    graph = residual(operators)
    step = Step(graph, partition(graph, wide=0.0))
    frame = frame_of(Random(0), graph.input_shape)
    with pytest.raises(UsageError) as error:
        step.update(step.state(), frame, NOWHERE, [SKIP] * 4)
    assert str(error.value) == (
        "expected a stream with values to update, found one without\n"
        "  fix: compute a whole frame first"
    )
    with pytest.raises(UsageError, match="expected a stream that has seen a frame"):
        step.state().outputs(graph.outputs)


def test_a_step_that_fails_leaves_a_state_that_must_start_anew(operators, frame_of, monkeypatch):
    graph = residual(operators)
    step = Step(graph, partition(graph, wide=0.0))
    state = step.state()
    frame = frame_of(Random(0), graph.input_shape)
    step.whole(state, frame)
    place = Rectangle(0, 0, 2, 2)

    def fails(*_):
        raise MemoryError

    with monkeypatch.context() as patch:
        patch.setattr(graph.nodes[0].operator, "run_region", fails)
        with pytest.raises(MemoryError):
            step.update(state, frame, RegionSet((place,)), [(place,), SKIP, SKIP, SKIP])
    assert not state.current
    with pytest.raises(UsageError, match="found one without"):
        step.update(state, frame, NOWHERE, [SKIP] * 4)
    step.whole(state, frame)
    assert_current(step, state)


def test_the_frame_is_copied_and_streams_do_not_share_values(operators, frame_of):
    graph = residual(operators)
    step = Step(graph, partition(graph, wide=0.0))
    frame = frame_of(Random(0), graph.input_shape)
    one, two = step.state(), step.state()
    step.whole(one, frame)
    step.whole(two, frame)
    everywhere = RegionSet.whole(20, 24)
    step.update(one, frame_of(Random(1), graph.input_shape), everywhere, [DENSE] * 4)
    frame.zero_()
    assert_current(step, one)
    assert_current(step, two)
    assert not torch.equal(one.outputs((5,))[0], two.outputs((5,))[0])


def test_outputs_of_a_frame_that_was_passed_over_take_the_place_of_those_before(
    operators, frame_of
):
    graph = residual(operators)
    step = Step(graph, partition(graph, wide=0.0))
    state = step.state()
    first, second = (frame_of(Random(seed), graph.input_shape) for seed in range(2))
    step.whole(state, first)
    before = state.bytes_
    outputs = (graph.run(second)[graph.output],)
    state.pass_over(second, graph.outputs, outputs)
    assert state.bytes_ == before
    assert not state.current
    assert torch.equal(state.outputs(graph.outputs)[0], outputs[0])
    step.whole(state, second)
    assert_current(step, state)
