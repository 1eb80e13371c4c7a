"""Plans: right whatever they cost, and never dearer than the whole frame."""

from random import Random

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.incremental.drawing import drawn_change

from gristmill.incremental.execution.partition import partition
from gristmill.incremental.execution.step import DENSE, SKIP, Step
from gristmill.incremental.graph.node import FRAME, Graph, Node
from gristmill.incremental.planning.cost_grid import CostGrid
from gristmill.incremental.planning.cost_table import CostTable
from gristmill.incremental.planning.explanation import explained
from gristmill.incremental.planning.planner import Planner
from gristmill.incremental.planning.size_classes import RectangleClasses
from gristmill.incremental.regions.interval import Window
from gristmill.incremental.regions.rectangle import Rectangle
from gristmill.incremental.regions.region_set import NOWHERE, RegionSet


def table_of(units, fixed, whole=None):
    """A machine on which a rectangle costs a fixed part and one for each pixel."""
    grids = [_grid(u, fixed) if u.regional else None for u in units]
    dense = tuple(float(u.height * u.width) for u in units)
    return CostTable(dense, tuple(grids), sum(dense) if whole is None else whole)


def _grid(unit, fixed):
    heights, widths = (1, max(2, unit.height)), (1, max(2, unit.width))
    seconds = tuple(tuple(fixed + h * w for w in widths) for h in heights)
    return CostGrid(RectangleClasses(unit.height, unit.width), heights, widths, seconds)


@given(seed=st.integers(0, 2**32), fixed=st.sampled_from([0.0, 3.0, 50.0]), dear=st.booleans())
@settings(max_examples=40, deadline=None)
def test_planned_frames_equal_whole_ones(graph_of, frame_of, seed, fixed, dear):
    random = Random(seed)
    graph = graph_of(seed)
    step = Step(graph, partition(graph))
    planner = Planner(step.units, table_of(step.units, fixed, 1e9 if dear else None))
    state = step.state()
    step.whole(state, frame_of(random, graph.input_shape))
    for _ in range(5):
        changed = drawn_change(random, *graph.input_shape[1:], longest=6)
        frame = frame_of(random, graph.input_shape)
        plan = planner.plan(changed)
        if plan.whole:
            assert not dear
            step.whole(state, frame)
        else:
            step.update(state, frame, changed, plan.orders)
        expected = graph.run(state.reference)
        for unit in step.units:
            assert torch.equal(state.values[unit.root], expected[unit.root])


def chain(operators):
    """Three 3x3 convolutions, a sum over places."""
    random = Random(0)
    nodes = [
        Node(f"c{n}", operators["convolution"](random, 1, 1, Window(3, 1, 1)), (n - 1,))
        for n in range(3)
    ]
    return Graph((*nodes, Node("total", operators["total"](), (2,))), (1, 60, 60), (3,))


@pytest.fixture
def units(operators):
    return partition(chain(operators), wide=0.0)


def test_a_still_frame_costs_nothing(units):
    plan = Planner(units, table_of(units, 5.0)).plan(NOWHERE)
    assert (plan.orders, plan.predicted, plan.whole) == ((SKIP,) * 4, 0.0, False)


def test_what_a_change_reaches_grows_as_it_is_not_as_it_is_merged(units):
    corners = RegionSet((Rectangle(0, 0, 4, 4), Rectangle(20, 20, 24, 24)))
    plan = Planner(units, table_of(units, 1200.0)).plan(corners)
    # One call costs less than two, and 25 rows and columns are grown to 32.
    assert plan.orders[0] == (Rectangle(0, 0, 32, 32),)
    assert set(plan.reached[1]) == {Rectangle(0, 0, 6, 6), Rectangle(18, 18, 26, 26)}
    assert plan.orders[3] is DENSE


def test_cheap_calls_are_kept_apart(units):
    corners = RegionSet((Rectangle(0, 0, 4, 4), Rectangle(50, 50, 54, 54)))
    plan = Planner(units, table_of(units, 1.0)).plan(corners)
    assert [len(order) for order in plan.orders[:3]] == [2, 2, 2]
    assert plan.seconds[0] == pytest.approx(36 + 36 + 2)
    assert plan.predicted == pytest.approx(sum(plan.seconds))


def test_a_unit_is_computed_in_full_where_rectangles_cost_more(units):
    table = table_of(units, 1.0)
    table = CostTable((10.0, *table.dense[1:]), table.rectangles, table.whole)
    plan = Planner(units, table).plan(RegionSet((Rectangle(0, 0, 9, 9),)))
    assert plan.orders[0] is DENSE
    assert plan.orders[1] == (Rectangle(0, 0, 12, 12),)


def test_the_whole_frame_is_taken_when_the_plan_is_not_cheaper_by_the_margin(units):
    changed = RegionSet((Rectangle(0, 0, 20, 20),))
    cost = Planner(units, table_of(units, 1.0, 1e9)).plan(changed).predicted
    dearer = Planner(units, table_of(units, 1.0, cost * 0.99 / 0.97)).plan(changed)
    assert dearer.whole
    assert dearer.predicted == dearer.dense == cost * 0.99 / 0.97
    assert not Planner(units, table_of(units, 1.0, cost * 1.01 / 0.97)).plan(changed).whole


def test_a_change_seen_before_is_not_planned_again(units):
    planner = Planner(units, table_of(units, 1.0))
    changed = RegionSet((Rectangle(0, 0, 5, 5),))
    assert planner.plan(changed) is planner.plan(RegionSet((Rectangle(0, 0, 5, 5),)))


def test_plans_that_take_longer_than_predicted_give_way_to_whole_frames(units):
    changed = RegionSet((Rectangle(0, 0, 20, 20),))
    cost = Planner(units, table_of(units, 1.0, 1e9)).plan(changed).predicted
    planner = Planner(units, table_of(units, 1.0, 1.5 * cost))
    for _ in range(100):
        plan = planner.plan(changed)
        planner.observe(plan, (1.5 if plan.whole else 2.0) * cost)
        if plan.whole:
            break
    assert plan.whole
    assert not planner.plan(RegionSet((Rectangle(0, 0, 3, 3),))).whole


def test_an_explanation_says_what_is_done_and_what_it_costs(units):
    table = table_of(units, 1.0)
    plan = Planner(units, table).plan(RegionSet((Rectangle(0, 0, 5, 5),)))
    first, *_, last = explained(units, table, plan)
    assert (first.name, first.does, first.rectangles) == (
        "c0",
        "rectangles",
        (Rectangle(0, 0, 6, 6),),
    )
    assert first.reached == first.computed == 36 / 3600
    assert (first.flops, first.dense_flops) == (36, 3600)
    assert first.seconds == pytest.approx(37.0)
    assert (last.does, last.shape, last.operators) == ("dense", (1,), ("total",))
    still = explained(units, table, Planner(units, table).plan(NOWHERE))
    assert {row.does for row in still} == {"skip"}
    busy = Planner(units, table_of(units, 1.0, 1.0)).plan(RegionSet.whole(60, 60))
    assert {row.does for row in explained(units, table, busy)} == {"dense"}
    assert FRAME not in units[1].sources
