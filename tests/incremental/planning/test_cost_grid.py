"""Interpolated costs of rectangles."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gristmill.incremental.planning.cost_grid import CostGrid
from gristmill.incremental.planning.size_classes import RectangleClasses
from gristmill.incremental.regions.rectangle import Rectangle


def exact(height, width):
    return 7.0 + 2.0 * height + 0.5 * width + 0.25 * height * width


def grid(heights=(4, 16, 60), widths=(4, 16, 64, 100)):
    seconds = tuple(tuple(exact(h, w) for w in widths) for h in heights)
    return CostGrid(RectangleClasses(60, 100), heights, widths, seconds)


@given(st.integers(4, 60), st.integers(4, 100))
def test_a_cost_of_a_fixed_part_rows_columns_and_pixels_is_met_exactly(height, width):
    costs = grid()
    _, _, tall, wide = costs.classes.grown(Rectangle(0, 0, height, width))
    assert costs(height, width) == pytest.approx(exact(tall, wide))


def test_beyond_the_grid_its_edge_counts():
    costs = grid()
    assert costs(1, 1) == exact(4, 4)
    assert costs(60, 2) == exact(60, 4)


def test_a_map_with_one_size_on_an_axis():
    costs = CostGrid(RectangleClasses(1, 4), (1,), (1, 4), ((2.0, 5.0),))
    assert [costs(1, 1), costs(1, 2), costs(1, 3), costs(1, 4)] == [2.0, 3.0, 4.0, 5.0]
    assert CostGrid(RectangleClasses(1, 1), (1,), (1,), ((2.0,),))(1, 1) == 2.0


def test_slack_is_the_pixels_that_three_calls_are_worth():
    seconds = ((10.0, 20.0), (20.0, 130.0))
    assert CostGrid(RectangleClasses(11, 11), (1, 11), (1, 11), seconds).slack == pytest.approx(
        3 * 10.0 * 120 / 120.0
    )
    assert CostGrid(RectangleClasses(1, 1), (1,), (1,), ((2.0,),)).slack == float("inf")
