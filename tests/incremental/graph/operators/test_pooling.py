"""Poolings: every divisor rule, windows over the edge, parts of adaptive sizes, whole maps."""

import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from torch.nn import functional

from gristmill.core.errors import UsageError
from gristmill.incremental.graph.operators.global_pooling import AdaptivePooling, GlobalPooling
from gristmill.incremental.graph.operators.pooling import AveragePooling, MaxPooling
from gristmill.incremental.regions.interval import Window
from gristmill.incremental.regions.rectangle import Rectangle


@st.composite
def windows(draw, dilations=(1,)):
    kernel = draw(st.integers(1, 4))
    padding = draw(st.integers(0, kernel // 2))
    return Window(kernel, draw(st.integers(1, 4)), padding, draw(st.sampled_from(dilations)))


SIZES = st.tuples(st.integers(1, 9), st.integers(7, 20), st.integers(7, 20))


@settings(max_examples=40, deadline=None)
@given(windows((1, 2)), windows((1, 2)), st.booleans(), SIZES, st.integers(0, 999))
def test_max_pooling(check, rows, columns, ceil, shape, seed):
    pooling = MaxPooling(rows, columns, ceil)
    assume(min(pooling.shape(shape)) > 0)
    dense = all(each.dilation == 1 and each.stride <= each.kernel for each in (rows, columns))
    check(pooling, [shape], seed, tight=dense)


@settings(max_examples=50, deadline=None)
@given(
    windows(),
    windows(),
    st.booleans(),
    st.booleans(),
    st.sampled_from([None, 3]),
    SIZES,
    st.integers(0, 999),
)
def test_average_pooling(check, rows, columns, ceil, count_padding, divisor, shape, seed):
    pooling = AveragePooling(rows, columns, ceil, count_padding, divisor)
    dense = rows.stride <= rows.kernel and columns.stride <= columns.kernel
    check(pooling, [shape], seed, tight=dense)


@settings(max_examples=40, deadline=None)
@given(
    st.sampled_from(["mean", "max"]),
    st.tuples(st.integers(1, 6), st.integers(1, 6)),
    SIZES,
    st.integers(0, 999),
)
def test_adaptive_pooling(check, kind, parts, shape, seed):
    check(AdaptivePooling(kind, parts), [shape], seed, tight=True)


@pytest.mark.parametrize("keep", [True, False])
@pytest.mark.parametrize("kind", ["mean", "max"])
def test_global_pooling(check, kind, keep):
    pooling = GlobalPooling(kind, keep)
    check(pooling, [(5, 7, 9)], 3)
    values = check.values([(5, 7, 9)], 1)[0]
    expected = values.mean((2, 3), keepdim=keep) if kind == "mean" else values.amax((2, 3), keep)
    torch.testing.assert_close(pooling.run(values), expected, rtol=1e-6, atol=1e-6)
    assert not pooling.local
    assert pooling.reached(Rectangle(2, 2, 3, 3), 0, [(5, 7, 9)]) == (0, 0, 1, 1)


def test_whole_maps_pool_as_pytorch_does(check):
    values = check.values([(6, 15, 11)], 0)[0]
    average = AveragePooling(Window(3, 2, 1), Window(3, 2, 1), ceil=True, count_padding=False)
    expected = functional.avg_pool2d(values, 3, 2, 1, True, False)
    assert torch.equal(average.run(values), expected)
    adaptive = AdaptivePooling("mean", (7, 7))
    assert torch.equal(adaptive.run(values), functional.adaptive_avg_pool2d(values, 7))


def test_a_map_smaller_than_the_window_is_refused():
    with pytest.raises(UsageError, match="expected a map of at least 4x4"):
        MaxPooling(Window(4), Window(4)).shape((3, 3, 9))
