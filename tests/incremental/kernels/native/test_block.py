"""Blocks of three convolutions: the bits of one after the other, however pixels are grouped."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.incremental.kernels.shared_work import shared_by

from gristmill.incremental.kernels.activation import Activation
from gristmill.incremental.kernels.direct import DirectKernel
from gristmill.incremental.kernels.layer import Layer
from gristmill.incremental.kernels.native.block import BlockKernel, Shortcut
from gristmill.incremental.kernels.native.groups import Groups, grouped
from gristmill.incremental.kernels.native.library import library
from gristmill.incremental.kernels.native.scattered import ScatteredConvolution

pytestmark = pytest.mark.skipif(library() is None, reason="no C kernels here")

RELU6 = Activation("hardtanh", (0.0, 6.0))
SIDE = 9
"""Rows and columns of the map."""


def layer(outputs, inputs, size=1, groups=1, activation=None):
    weight = torch.randn(outputs, inputs // groups, size, size) / size
    return Layer(weight, torch.randn(outputs), groups=groups, activation=activation)


def pixels_of(boxes):
    """Position, row and column of each pixel of some boxes (top, left, bottom, right)."""
    found = [
        (which, row, column)
        for which, (top, left, bottom, right) in enumerate(boxes)
        for row in range(top, bottom)
        for column in range(left, right)
    ]
    return np.array(found, np.int64).reshape(-1, 3).T


def spans_of(boxes):
    areas = [(bottom - top) * (right - left) for top, left, bottom, right in boxes]
    ends = np.cumsum(areas)
    return np.stack([ends - areas, ends], 1)


def inner(box):
    """What a window of 3x3 makes of a box whose edges it does not read beyond."""
    top, left, bottom, right = box
    return max(top - 1, 0), max(left - 1, 0), min(bottom + 1, SIDE), min(right + 1, SIDE)


def by_hand(first, second, third, rows, base, numbers, added):
    wide = DirectKernel(first)(rows.T[None, :, None].contiguous(memory_format=torch.channels_last))
    patches = wide.permute(0, 2, 3, 1).reshape(len(rows), -1)
    deep = ScatteredConvolution(second)(base, patches, numbers)
    maps = deep.T[None, :, None].contiguous(memory_format=torch.channels_last)
    found = DirectKernel(third)(maps).permute(0, 2, 3, 1).reshape(len(deep), -1)
    return found if added is None else (found + added).clamp(-1, 1)


@settings(max_examples=40, deadline=None)
@given(
    channels=st.tuples(
        st.integers(1, 40), st.sampled_from([16, 144, 192, 208, 400]), st.integers(1, 70)
    ),
    activation=st.sampled_from([None, RELU6, Activation("relu"), Activation("hardswish")]),
    boxes=st.lists(
        st.sampled_from([(0, 0, SIDE, SIDE), (2, 3, 7, 6), (4, 0, 5, 9), (8, 8, 9, 9)]),
        min_size=1,
        max_size=12,
    ),
    together=st.sampled_from([0, 96, 300]),
    adds=st.booleans(),
    threads=st.sampled_from([1, 2]),
    seed=st.integers(0, 2**31),
)
def test_a_block_is_its_three_convolutions_to_the_bit(
    channels, activation, boxes, together, adds, threads, seed
):
    torch.manual_seed(seed)
    inputs, wide, outputs = channels
    first = layer(wide, inputs, activation=activation)
    second = layer(wide, wide, 3, wide, activation)
    third = layer(outputs, wide)
    given_boxes = [inner(box) for box in boxes]
    spans, given_spans = spans_of(boxes), spans_of(given_boxes)
    rows, base = torch.randn(int(spans[-1, 1]), inputs), torch.randn(SIDE**2, wide)
    which, down, across = pixels_of(given_boxes)
    numbers = []
    for position, row, column in zip(which, down, across, strict=True):
        top, left, bottom, right = boxes[position]
        for y in range(row - 1, row + 2):
            for x in range(column - 1, column + 2):
                if top <= y < bottom and left <= x < right:
                    patch = spans[position, 0] + (y - top) * (right - left) + x - left
                    numbers.append(SIDE**2 + 1 + patch)
                else:
                    inside = 0 <= y < SIDE and 0 <= x < SIDE
                    numbers.append(y * SIDE + x if inside else SIDE**2)
    taps = torch.tensor(numbers, dtype=torch.int32).view(-1, 9)
    shortcut = added = None
    if adds:
        chosen = torch.randint(0, 50, (len(taps),), dtype=torch.int32)
        values = torch.randn(50, outputs)
        shortcut, added = Shortcut(values, values[:0], chosen), values[chosen.long()]
    kernel = BlockKernel(first, second, third, Activation("hardtanh", (-1.0, 1.0)))
    groups = Groups.of(grouped(spans, given_spans, together), down, across, taps.numpy(), SIDE**2)
    with shared_by(threads):
        found = kernel(rows, base, taps, groups, (), shortcut)
    assert torch.equal(found, by_hand(first, second, third, rows, base, taps, added))
