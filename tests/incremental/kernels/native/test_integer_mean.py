"""The mean of what a 1x1 convolution makes of differences from a known map."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.incremental.kernels.shared_work import shared_by

from gristmill.incremental.kernels.activation import Activation
from gristmill.incremental.kernels.layer import Layer
from gristmill.incremental.kernels.native.differences import Known
from gristmill.incremental.kernels.native.integer_block import rounded_sums
from gristmill.incremental.kernels.native.integer_mean import IntegerMeanKernel, suits
from gristmill.incremental.kernels.native.library import library

pytestmark = pytest.mark.skipif(library() is None, reason="no C kernels here")

RELU6 = Activation("hardtanh", (0.0, 6.0))
PIXELS = 100
"""Of the known map."""


class Case:
    """A layer, a known map, and positions at which some of its pixels differ.

    Args:
        channels: that the layer reads, and that it makes.
        activation: of the layer.
        bands: of each position, its first pixel and the one after the last.
        scale: of the differences.
    """

    def __init__(self, channels, activation, bands, scale=1.0):
        inputs, outputs = channels
        weight = 2 * torch.randn(outputs, inputs, 1, 1) / inputs**0.5
        self.layer = Layer(weight, torch.randn(outputs), activation=activation)
        self.known, self.bands = torch.randn(PIXELS, inputs), bands
        self.rows = [self.known[slice(*band)].clone() for band in bands]
        for rows in self.rows:
            rows += scale * torch.randn_like(rows)

    def _results(self, values):
        sums = values @ self.layer.weight.flatten(1).T + self.layer.bias
        activation = self.layer.activation
        return sums, sums if activation is None else activation.apply_(sums.clone())

    @property
    def before(self):
        """The known map's mean, [1, outputs]."""
        return self._results(self.known)[1].mean(0, keepdim=True)

    @property
    def exact(self):
        """The positions' means, [positions, outputs]."""
        found = []
        for rows, band in zip(self.rows, self.bands, strict=True):
            values = self.known.clone()
            values[slice(*band)] = rows
            found.append(self._results(values)[1].mean(0))
        return torch.stack(found)

    def bound(self, share):
        """How much the means may be off where each pixel's move errs by such a share.

        Known sums are bfloat16. Where one is rounded to beyond the upper bound, or to short of it,
        a move may be missed, or made up; one that crosses it ends there, but begins elsewhere.
        """
        errors = []
        for rows, band in zip(self.rows, self.bands, strict=True):
            known, moved = (self._results(each)[0] for each in (self.known[slice(*band)], rows))
            at_bound = (known - 6.0).abs() <= 6.0 * 2.0**-8
            crosses = (known < 6.0) != (moved < 6.0)
            errors += [share * (moved - known), (moved - known) * at_bound,
                       known * 2.0**-8 * crosses]  # fmt: skip
        return torch.cat(errors).norm() / PIXELS

    def run(self, which=slice(None)):
        """The kernel's means of some of the positions."""
        rows, bands = self.rows[which], self.bands[which]
        ends = np.cumsum([0, *map(len, rows)])
        places = torch.cat([torch.arange(*band, dtype=torch.int32) for band in bands])
        known = Known(self.known, rounded_sums(self._results(self.known)[0]), places)
        spans = np.stack([ends[:-1], ends[1:]], 1)
        return IntegerMeanKernel(self.layer)(torch.cat(rows), self.before, spans, known)


@settings(max_examples=30, deadline=None)
@given(
    channels=st.tuples(st.integers(5, 70), st.sampled_from([16, 48, 64, 144, 150])),
    activation=st.sampled_from([None, Activation("relu"), RELU6]),
    bands=st.lists(
        st.sampled_from([(0, PIXELS), (2, 4), (3, 9), (99, PIXELS)]), min_size=1, max_size=4
    ),
    scale=st.sampled_from([1e-3, 1.0]),
    threads=st.sampled_from([1, 2]),
    seed=st.integers(0, 2**31),
)
def test_a_mean_errs_by_a_small_share_of_what_differs(
    channels, activation, bands, scale, threads, seed
):
    torch.manual_seed(seed)
    case = Case(channels, activation, bands, scale)
    with shared_by(threads):
        found, alone = case.run(), case.run(slice(-1, None))
    assert (found - case.exact).norm() <= case.bound(share=0.03) + 1e-5
    assert torch.equal(found[-1:], alone)


def test_what_does_not_differ_has_the_known_mean():
    torch.manual_seed(0)
    case = Case((33, 80), RELU6, [(0, 4), (3, 30)], scale=0.0)
    assert torch.equal(case.run(), case.before.expand(2, -1))


@pytest.mark.parametrize(("size", "counts"), [(1 / 70, False), (1 / 10, True)])
def test_what_differs_by_next_to_nothing_for_its_position_does_not(size, counts):
    torch.manual_seed(0)
    case = Case((33, 80), RELU6, [(3, 30), (0, 3)], scale=0.0)
    case.rows[0][2] += torch.randn(33).sign()
    expected = case.run()
    case.rows[0][9:] += size * torch.randn(18, 33).sign()
    found = case.run()
    assert not torch.equal(expected[0], case.before[0])
    assert torch.equal(found, expected) is not counts


@pytest.mark.parametrize("strange", [torch.nan, torch.inf])
def test_what_is_not_a_number_leaves_no_number_of_its_position(strange):
    torch.manual_seed(0)
    case = Case((33, 80), RELU6, [(2, 5), (0, 3)])
    expected = case.run(slice(1, None))
    case.rows[0][1, 4] = strange
    found = case.run()
    assert not torch.isfinite(found[0]).any()
    assert torch.equal(found[1:], expected)


@pytest.mark.parametrize(
    ("activation", "expected"), [(RELU6, True), (None, True), (Activation("swish"), False)]
)
def test_layers_that_suit(activation, expected):
    assert suits(Layer(torch.randn(16, 4, 1, 1), activation=activation)) is expected
