"""What is left out of a footprint lies far from the place that changes."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from gristmill.incremental.graph.capture import capture
from gristmill.incremental.occlusion.footprints import footprints

SIDE = 40


@pytest.fixture(scope="module")
def graph():
    layers = [nn.Conv2d(1, 1, 3, padding=1), nn.Conv2d(1, 1, 5, stride=2, padding=2)]
    layers += [nn.Conv2d(1, 1, 5, padding=2) for _ in range(3)]
    return capture(nn.Sequential(*layers), torch.zeros(1, 1, SIDE, SIDE), any_size=False)


@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("begin", [0, 3, 16, 32])
@pytest.mark.parametrize("keep", [0.2, 0.4])
def test_what_is_kept_is_around_the_place(graph, axis, begin, keep):
    end = begin + 8
    shapes = [*graph.shapes(), graph.input_shape]
    whole = footprints(graph, shapes, begin, end, axis)
    kept = footprints(graph, shapes, begin, end, axis, keep)
    assert kept[-1].tolist() == [begin, end]
    for node in range(len(graph.nodes)):
        length = shapes[node][1]
        low, high = kept[node]
        assert whole[node, 0] <= low < high <= whole[node, 1]
        assert high - low <= round(keep * length)
        assert low <= (begin + end) / 2 / SIDE * length <= high
    assert (kept[-2] != whole[-2]).any()


def test_patches_need_not_lie_in_tiles_of_the_map():
    layers = [nn.Conv2d(64, 64, 3, padding=1) for _ in range(2)]
    frame = torch.zeros(1, 64, 48, 48)
    graph = capture(nn.Sequential(*layers), frame, any_size=False)
    shapes = [*graph.shapes(), graph.input_shape]
    found = footprints(graph, shapes, 17, 20, 0)
    assert found.tolist() == [[16, 21], [15, 22], [17, 20]]
