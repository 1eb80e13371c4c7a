"""Costs by the number of tiles."""

import pytest

from gristmill.incremental.planning.tile_costs import TileCosts
from gristmill.incremental.regions.rectangle import Rectangle
from gristmill.incremental.regions.region_set import RegionSet


def tiles(rectangles):
    found = set()
    for top, left, bottom, right in rectangles:
        found |= {(y // 4, x // 4) for y in range(top, bottom) for x in range(left, right)}
    return len(found)


def test_tiles_in_common_are_paid_once():
    costs = TileCosts(tiles, (1, 11), (2.0, 12.0), call=0.0)
    apart = RegionSet((Rectangle(0, 0, 4, 4), Rectangle(40, 40, 44, 48)))
    found, seconds = costs.order(apart)
    assert found == apart.rectangles
    assert seconds == pytest.approx(4.0)  # 3 tiles
    halves = RegionSet((Rectangle(0, 0, 1, 4), Rectangle(3, 0, 4, 4)))
    assert costs.order(halves)[1] == pytest.approx(2.0)


def test_rectangles_are_joined_where_a_call_costs_more_than_tiles():
    reach = RegionSet((Rectangle(0, 0, 4, 4), Rectangle(0, 8, 4, 12)))
    cheap = TileCosts(tiles, (1, 11), (1.0, 11.0), call=0.5)
    assert cheap.order(reach) == (reach.rectangles, pytest.approx(2.5))
    dear = cheap.dearer(2.0, 0.0)
    assert dear.order(reach) == ((Rectangle(0, 0, 4, 12),), pytest.approx(5.0))


def test_what_is_done_with_every_pixel_is_added():
    costs = TileCosts(tiles, (1, 11), (1.0, 11.0), call=0.5).dearer(0.25, 0.125)
    reach = RegionSet((Rectangle(0, 0, 4, 4),))
    assert costs.order(reach)[1] == pytest.approx(1.0 + 0.25 + 16 * 0.125)
