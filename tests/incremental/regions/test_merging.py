"""Merging by cost: nothing lost, nothing dearer."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gristmill.incremental.regions.merging import merged
from gristmill.incremental.regions.rectangle import Rectangle
from gristmill.incremental.regions.region_set import NOWHERE, RegionSet

SIDE = 40


@st.composite
def rectangle(draw):
    top, left = draw(st.integers(0, SIDE - 2)), draw(st.integers(0, SIDE - 2))
    bottom = draw(st.integers(top + 1, min(SIDE, top + 12)))
    return Rectangle(top, left, bottom, draw(st.integers(left + 1, min(SIDE, left + 12))))


def painted(rectangles):
    mask = np.zeros((SIDE, SIDE), dtype=bool)
    for top, left, bottom, right in rectangles:
        mask[top:bottom, left:right] = True
    return mask


def price(fixed):
    return lambda height, width: fixed + height * width


@given(st.lists(rectangle(), max_size=9), st.integers(0, 2**31), st.sampled_from([0.0, 30.0, 1e9]))
@settings(max_examples=100)
def test_merging_never_loses_a_place_and_never_costs_more(places, seed, slack):
    # Costs without any order among sizes: the promise does not lean on their being sensible.
    random = np.random.default_rng(seed)
    costs = random.uniform(0, 100, (SIDE + 1, SIDE + 1))
    regions = RegionSet.covering(places)
    found, total = merged(regions, lambda h, w: costs[h, w], slack)
    assert not (painted(regions) & ~painted(found)).any()
    assert total == pytest.approx(sum(costs[r.height, r.width] for r in found))
    assert total <= sum(costs[r.height, r.width] for r in regions) + 1e-9


@given(st.lists(rectangle(), min_size=1, max_size=6))
@settings(max_examples=30)
def test_calls_that_cost_nothing_are_not_merged_into_more_pixels(places):
    regions = RegionSet.covering(places)
    found, total = merged(regions, price(0.0))
    assert total <= regions.area
    assert sum(r.area for r in found) == total


def test_a_dear_call_makes_one_rectangle_of_all():
    regions = RegionSet((Rectangle(0, 0, 2, 2), Rectangle(10, 0, 12, 2), Rectangle(30, 30, 33, 33)))
    assert merged(regions, price(1e6))[0] == (Rectangle(0, 0, 33, 33),)


def test_what_is_near_is_merged_and_what_is_far_is_not():
    near = Rectangle(0, 0, 4, 4), Rectangle(0, 6, 4, 10)
    far = Rectangle(30, 30, 34, 34)
    found, total = merged(RegionSet((*near, far)), price(20.0))
    assert set(found) == {Rectangle(0, 0, 4, 10), far}
    assert total == 40 + 16 + 2 * 20


def test_a_merged_rectangle_takes_in_what_it_has_come_near():
    chain = tuple(Rectangle(0, 6 * n, 4, 6 * n + 4) for n in range(6))
    found, _ = merged(RegionSet(chain), price(12.0))
    assert found == (Rectangle(0, 0, 4, 34),)


def test_pairs_that_waste_more_than_the_slack_are_not_asked_about():
    asked = []

    def cost(height, width):
        asked.append((height, width))
        return 1.0

    regions = RegionSet((Rectangle(0, 0, 2, 2), Rectangle(20, 20, 22, 22)))
    merged(regions, cost, slack=10.0)
    assert asked == [(2, 2), (2, 2), (22, 22)]  # each, and at last the box of all


def test_nothing_and_a_single_rectangle_stay_what_they_are():
    assert merged(NOWHERE, price(1.0)) == ((), 0)
    alone = RegionSet((Rectangle(1, 2, 3, 5),))
    assert merged(alone, price(1.0)) == (alone.rectangles, 7.0)
