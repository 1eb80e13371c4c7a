"""A machine on which everything costs its pixels, and streams of tiny networks on it."""

from __future__ import annotations

import pytest

from gristmill.incremental.bounded.bounded_step import BoundedStep
from gristmill.incremental.bounded.comparing_cost import ComparingCost
from gristmill.incremental.bounded.steering import Steering
from gristmill.incremental.execution.partition import partition
from gristmill.incremental.execution.step import Step
from gristmill.incremental.planning.cost_grid import CostGrid
from gristmill.incremental.planning.cost_table import CostTable
from gristmill.incremental.planning.planner import Planner
from gristmill.incremental.planning.size_classes import RectangleClasses

CHEAP = ComparingCost(0.01, 0.0)


def _grid(unit, fixed):
    heights, widths = (1, max(2, unit.height)), (1, max(2, unit.width))
    seconds = tuple(tuple(fixed + h * w for w in widths) for h in heights)
    return CostGrid(RectangleClasses(unit.height, unit.width), heights, widths, seconds)


def table_of(units, fixed=1.0, whole=None):
    """What a rectangle costs is a fixed part and one for each pixel."""
    grids = tuple(_grid(unit, fixed) if unit.regional else None for unit in units)
    dense = tuple(float(unit.height * unit.width) for unit in units)
    return CostTable(dense, grids, sum(dense) if whole is None else whole)


@pytest.fixture(scope="session")
def bounded_of():
    """A function from a graph to its step and a bounded one; comparing is cheap unless told."""

    def made(graph, *, fixed=1.0, whole=1e9, cost=CHEAP):
        step = Step(graph, partition(graph))
        table = table_of(step.units, fixed, whole)
        steering = Steering(0.1, 10)
        return step, BoundedStep(step, Planner(step.units, table), table, cost, steering), steering

    return made


@pytest.fixture(scope="session")
def costs_of():
    """A function from units to their cost table."""
    return table_of
