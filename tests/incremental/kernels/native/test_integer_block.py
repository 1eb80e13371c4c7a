"""A block of what differs from a known map: integers from end to end."""

from __future__ import annotations

import platform
from itertools import product

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.incremental.kernels.shared_work import shared_by
from torch import Tensor
from torch.nn import functional

from gristmill.incremental.kernels.activation import Activation
from gristmill.incremental.kernels.layer import Layer
from gristmill.incremental.kernels.native import integer_block
from gristmill.incremental.kernels.native.block import Shortcut
from gristmill.incremental.kernels.native.differences import Known, quick
from gristmill.incremental.kernels.native.groups import Groups
from gristmill.incremental.kernels.native.integer_block import (
    IntegerBlockKernel,
    rounded_sums,
    suits,
)
from gristmill.incremental.kernels.native.library import library

pytestmark = pytest.mark.skipif(library() is None, reason="no C kernels here")

RELU6 = Activation("hardtanh", (0.0, 6.0))
SIDE = 17
"""Of the map that is known."""
RIGHT = 6
"""Columns of it that differ."""


def pointwise(outputs: int, inputs: int, activation: Activation | None = None) -> Layer:
    weight = torch.randn(outputs, inputs, 1, 1) / inputs**0.5
    return Layer(weight, torch.randn(outputs), activation=activation)


def applied(layer: Layer, values: Tensor) -> Tensor:
    return values if layer.activation is None else layer.activation.apply_(values.clone())


def numbered(band: tuple[int, int], right: int, side: int) -> Tensor:
    """Numbers of a map's pixels in some rows, up to a column."""
    pixels = torch.arange(side**2, dtype=torch.int32).view(side, side)
    return pixels[slice(*band), :right].flatten()


class Case:
    """A block, a map it is known for, and positions of some of its rows of pixels.

    Args:
        channels: that the block reads, that are between its convolutions, and that it makes.
        activation: of the first two.
        bands: of each position, its first row of the map and the one after the last.
        scale: of the differences.
        stride: of the depthwise convolution.
    """

    def __init__(self, channels, activation, bands, scale=1.0, stride=1):
        inputs, wide, outputs = channels
        self.first, self.third = pointwise(wide, inputs, activation), pointwise(outputs, wide)
        self.second = Layer(
            torch.randn(wide, 1, 3, 3) / 3,
            torch.randn(wide),
            (stride, stride),
            groups=wide,
            activation=activation,
        )
        self.stride, self.bands = stride, bands
        self.known = torch.randn(inputs, SIDE, SIDE)
        self.changed = [self.known + scale * torch.randn_like(self.known) for _ in bands]
        for changed, (top, bottom) in zip(self.changed, bands, strict=True):
            changed[:, :top], changed[:, bottom:] = self.known[:, :top], self.known[:, bottom:]
            changed[:, :, RIGHT:] = self.known[:, :, RIGHT:]
        self.sums = self._sums(self.known)

    def _sums(self, values: Tensor) -> list[Tensor]:
        """Sums of the three convolutions, [pixels, channels] of each."""
        padding = {1: 0, 3: 1}
        found = []
        for layer in (self.first, self.second, self.third):
            sums = functional.conv2d(
                values[None],
                layer.weight,
                layer.bias,
                layer.stride,
                padding[layer.weight.shape[2]],
                groups=layer.groups,
            )[0]
            values = applied(layer, sums)
            found.append(sums.flatten(1).T.contiguous())
        return found

    @property
    def exact(self) -> Tensor:
        """The positions' results, one after the other, [pixels, outputs]."""
        return torch.cat([
            self._sums(changed)[2][self._places(given)]
            for changed, given in zip(self.changed, self._gives(), strict=True)
        ])  # fmt: skip

    def _gives(self) -> list[tuple[int, int]]:
        """Rows of the results that positions reach."""
        return [
            (-(-max(top - 1, 0) // self.stride), min(bottom // self.stride + 1, self._side))
            for top, bottom in self.bands
        ]

    @property
    def _side(self) -> int:
        """Of the map of results."""
        return (SIDE - 1) // self.stride + 1

    @property
    def _right(self) -> int:
        """Columns of it that positions reach."""
        return RIGHT // self.stride + 1

    def _places(self, band: tuple[int, int]) -> Tensor:
        return numbered(band, self._right, self._side)

    def run(self, which: slice = slice(None), shortcut: Shortcut | None = None) -> Tensor:
        """The kernel's results for some of the positions."""
        bands, gives = self.bands[which], self._gives()[which]
        reads = [numbered(band, RIGHT, SIDE) for band in bands]
        rows = [
            changed.flatten(1).T[places]
            for changed, places in zip(self.changed[which], reads, strict=True)
        ]
        spans, numbers, begin, end = [], [], 0, 0
        for (top, bottom), (give, given_end) in zip(bands, gives, strict=True):
            for row, column in product(range(give, given_end), range(self._right)):
                for tap in range(9):
                    down = row * self.stride + tap // 3 - 1
                    across = column * self.stride + tap % 3 - 1
                    number = down * SIDE + across
                    if not (0 <= down < SIDE and 0 <= across < SIDE):
                        number = SIDE**2
                    elif top <= down < bottom and across < RIGHT:
                        number = SIDE**2 + 1 + begin + (down - top) * RIGHT + across
                    numbers.append(number)
            size = (bottom - top) * RIGHT, (given_end - give) * self._right
            spans.append([begin, begin + size[0], end, end + size[1]])
            begin, end = begin + size[0], end + size[1]
        given_places = torch.cat([self._places(each) for each in gives])
        values = self.known.flatten(1).T.contiguous()
        known = (
            Known(values, rounded_sums(self.sums[0]), torch.cat(reads)),
            Known(values, rounded_sums(self.sums[1]), given_places),
            Known(values, self.sums[2], given_places),
        )
        kernel = IntegerBlockKernel(self.first, self.second, self.third)
        taps = torch.tensor(numbers, dtype=torch.int32).view(-1, 9)
        nowhere = np.zeros(len(taps), np.int64)
        groups = Groups.of(np.array(spans), nowhere, nowhere, taps.numpy(), SIDE**2)
        return kernel(torch.cat(rows), values, taps, groups, known, shortcut)

    @property
    def before(self) -> Tensor:
        """What the results are beside."""
        return self.sums[2][torch.cat([self._places(each) for each in self._gives()])]


# The same cases each time: in about one of 1,000, activations leave so little of what differs that
# the steps, which know nothing of it, err by more than this share.
@settings(max_examples=30, deadline=None, derandomize=True)
@given(
    channels=st.tuples(st.integers(20, 70), st.sampled_from([16, 48, 64, 144]), st.integers(8, 40)),
    activation=st.sampled_from([None, Activation("relu"), RELU6]),
    bands=st.lists(
        st.sampled_from([(0, 3), (2, 4), (3, 9), (0, SIDE), (16, SIDE)]), min_size=1, max_size=4
    ),
    scale=st.sampled_from([1e-3, 0.3]),
    stride=st.sampled_from([1, 2]),
    threads=st.sampled_from([1, 2]),
    seed=st.integers(0, 2**31),
)
def test_a_block_errs_by_a_small_share_of_what_differs(
    channels, activation, bands, scale, stride, threads, seed
):
    torch.manual_seed(seed)
    case = Case(channels, activation, bands, scale, stride)
    with shared_by(threads):
        found, alone = case.run(), case.run(slice(-1, None))
    effect = (case.exact - case.before).norm()
    assert (found - case.exact).norm() <= 0.12 * effect + 1e-5
    assert torch.equal(found[len(found) - len(alone) :], alone)


def test_what_does_not_differ_is_what_is_known():
    torch.manual_seed(0)
    case = Case((33, 80, 12), RELU6, [(0, 4), (3, 9)], scale=0.0)
    assert torch.equal(case.run(), case.before)


@pytest.mark.parametrize(("size", "counts"), [(1 / 70, False), (1 / 10, True)])
def test_what_differs_by_next_to_nothing_for_its_position_does_not(size, counts):
    torch.manual_seed(0)
    case = Case((33, 80, 12), RELU6, [(2, 3), (2, 9)], scale=0.0)
    case.changed[1][:, 2, 0] += torch.randn(33).sign()
    case.changed[1][:, 5:, :RIGHT] += size * torch.randn(33)[:, None, None].sign()
    found, before = (each[-9 * 7 :].view(9, 7, 12) for each in (case.run(), case.before))
    # The first row of these is the map's second.
    assert not torch.equal(found[:3, :2], before[:3, :2])
    assert torch.equal(found[3:], before[3:]) is not counts


def test_a_shortcut_is_added():
    torch.manual_seed(0)
    case = Case((33, 80, 12), RELU6, [(2, 5)])
    found = case.run()
    base = torch.randn(SIDE**2, 12)
    numbers = torch.arange(len(found), dtype=torch.int32)
    added = case.run(shortcut=Shortcut(base, base[:0], numbers))
    assert torch.equal(added, found + base[: len(found)])


@pytest.mark.parametrize("strange", [torch.nan, torch.inf])
def test_what_is_not_a_number_leaves_no_number_of_its_position(strange):
    torch.manual_seed(0)
    case = Case((33, 80, 12), RELU6, [(2, 5), (0, 3)])
    expected = case.run(slice(1, None))
    case.changed[0][3, 2, 4] = strange
    found = case.run()
    assert not torch.isfinite(found[: -len(expected)]).any()
    assert torch.equal(found[-len(expected) :], expected)


@pytest.mark.parametrize("layer", ["first", "second", "third"])
def test_weights_that_are_not_finite_give_no_numbers(layer):
    torch.manual_seed(0)
    case = Case((33, 80, 12), RELU6, [(2, 5)])
    getattr(case, layer).weight[3] = torch.nan
    found = case.run()
    assert not torch.isfinite(found[:, 3] if layer == "third" else found).any()


def test_more_than_127_steps_are_127():
    """Where all differences point one way, they add up to several times what steps are made for."""
    torch.manual_seed(0)
    case = Case((33, 80, 12), None, [(2, 5)], scale=0.0)
    for layer in (case.first, case.second, case.third):
        layer.weight.abs_()
    case.sums = case._sums(case.known)
    case.changed[0][:, 2:5, :RIGHT] += 1.0
    found, effect = case.run() - case.before, case.exact - case.before
    assert (found > 0).all()
    assert (found < effect).all()


@pytest.mark.parametrize(
    ("activation", "size", "expected"),
    [(RELU6, 3, True), (None, 3, True), (Activation("swish"), 3, False), (RELU6, 5, False)],
)
def test_blocks_that_suit(activation, size, expected):
    second = Layer(torch.randn(16, 1, size, size), groups=16, activation=activation)
    assert suits(pointwise(16, 4, RELU6), second) is expected


@pytest.mark.skipif(platform.machine() != "x86_64", reason="switches x86 instructions off")
@pytest.mark.parametrize("flag", ["-mno-avx512f", "-mno-avx"])
def test_processors_without_wide_instructions_find_nearly_the_same(flag, monkeypatch):
    torch.manual_seed(0)
    case = Case((33, 80, 12), RELU6, [(0, 4), (3, 9)], scale=0.3)
    here = case.run()
    monkeypatch.setenv("CC", f"cc {flag}")
    functions = (library, quick, integer_block._together)
    for function in functions:
        function.cache_clear()
    try:
        elsewhere = case.run()
    finally:
        for function in functions:
            function.cache_clear()
    assert (elsewhere - here).norm() <= 0.01 * (here - case.before).norm()
