"""Which units compare."""

from random import Random

import pytest

from gristmill.incremental.bounded.comparing_cost import ComparingCost
from gristmill.incremental.bounded.yields import Yields
from gristmill.incremental.execution.partition import partition
from gristmill.incremental.graph.node import FRAME, Graph, Node
from gristmill.incremental.regions.interval import Window


@pytest.fixture
def units(operators):
    def convolution(inputs):
        return operators["convolution"](Random(0), 2, 2, Window(3, 1, 1)), inputs

    return partition(
        Graph(
            (
                Node("a", *convolution((FRAME,))),
                Node("b", *convolution((0,))),
                Node("total", operators["total"](), (1,)),
            ),
            (2, 10, 12),
            (2,),
        )
    )


def test_units_whose_readers_gain_compare(units, costs_of):
    yields = Yields(units, costs_of(units))
    # Of the second, all is read whatever has changed; the third is no map.
    assert [yields.compares(number) for number in range(3)] == [True, False, False]


def test_what_costs_more_than_it_saves_rests_from_the_next_whole_frame_on(units, costs_of):
    yields = Yields(units, costs_of(units))  # a pixel of `a` costs `b` a second
    found = []
    for _ in range(6):
        found.append(yields.compares(0))
        if found[-1]:
            yields.observe(0, 4.0, 3)
            yields.observe(0, 1.0, 1)
        yields.renew()
    assert found == [True, False, False, False, False, True]


def test_all_are_tried_again_at_once_when_asked_for(units, costs_of):
    yields = Yields(units, costs_of(units))
    yields.observe(0, 4.0, 3)
    yields.renew()
    assert not yields.compares(0)
    yields.try_all()
    yields.renew()
    assert yields.compares(0)


def test_what_saves_more_goes_on(units, costs_of):
    yields = Yields(units, costs_of(units))
    for _ in range(6):
        yields.observe(0, 2.0, 3)
        yields.renew()
        assert yields.compares(0)


def test_a_rectangle_and_all_of_a_unit_cost_what_comparing_adds(units, costs_of):
    table = costs_of(units)
    cost = ComparingCost(5.0, 0.5)
    added = cost.added(table, units)
    assert added.dense[0] == table.dense[0] + 5.0 + 0.5 * 240
    assert added.rectangles[0](10, 12) == table.rectangles[0](10, 12) + 5.0 + 0.5 * 240
    assert added.rectangles[0](1, 1) == table.rectangles[0](1, 1) + 5.0 + 0.5 * 2
    assert added.rectangles[2] is None
    assert added.whole == table.whole


def test_the_cost_is_measured():
    cost = ComparingCost.measured()
    assert 0.0 < cost(1, 1, 64) <= cost(100, 100, 64)
