"""Operators that treat every pixel on its own: functions, arithmetic, channels."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional

from gristmill.core.errors import UsageError
from gristmill.incremental.graph.operators.arithmetic import Arithmetic
from gristmill.incremental.graph.operators.channels import ChannelShuffle, ChannelSlice
from gristmill.incremental.graph.operators.concatenation import Concatenation
from gristmill.incremental.graph.operators.per_pixel import PerPixel
from gristmill.incremental.graph.operators.pointwise import Activate, Affine, Pointwise
from gristmill.incremental.kernels.activation import Activation
from gristmill.incremental.regions.rectangle import Rectangle

ACTIVATIONS = [
    Activation("relu"),
    Activation("hardtanh", (-1.0, 2.0)),
    Activation("leaky_relu", (0.1,)),
    Activation("hardswish"),
    Activation("hardsigmoid"),
    Activation("swish"),
    Activation("sigmoid"),
    Activation("tanh"),
    Activation("gelu"),
    Activation("gelu_tanh"),
]
SHAPES = st.tuples(st.integers(1, 19), st.integers(1, 12), st.integers(1, 12))


@settings(max_examples=50, deadline=None)
@given(st.sampled_from(ACTIVATIONS), SHAPES, st.integers(0, 999))
def test_activations(check, activation, shape, seed):
    check(Activate(activation), [shape], seed)


@settings(max_examples=30, deadline=None)
@given(st.sampled_from([None, *ACTIVATIONS]), SHAPES, st.integers(0, 999))
def test_affine(check, activation, shape, seed):
    factor, shift = torch.randn((2, shape[0]), generator=torch.Generator().manual_seed(seed))
    check(Affine(factor, shift, activation), [shape], seed, tight=activation is None)


def test_a_function_that_is_not_exact_says_so(check):
    exponential = Pointwise("exp", torch.exp, exact=False)
    check(exponential, [(5, 7, 9)], 0)
    assert not exponential.exact
    assert exponential.title == "exp"


@settings(max_examples=50, deadline=None)
@given(
    st.sampled_from([torch.add, torch.sub, torch.mul, torch.div, torch.maximum]),
    SHAPES,
    st.sampled_from(["same", "channels", "rows", "columns", "plane"]),
    st.booleans(),
    st.integers(0, 999),
)
def test_arithmetic_of_two_maps(check, function, shape, kind, turned, seed):
    channels, height, width = shape
    other = {
        "same": shape,
        "channels": (channels, 1, 1),
        "rows": (channels, 1, width),
        "columns": (1, height, 1),
        "plane": (1, height, width),
    }[kind]
    shapes = [other, shape] if turned else [shape, other]
    tight = function in (torch.add, torch.sub)
    check(Arithmetic("it", function), shapes, seed, tight)


@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("shape", [(), (1, 6, 1, 1)])
def test_arithmetic_with_a_constant(check, side, shape):
    constant = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    operator = Arithmetic("mul", torch.mul, **{side: constant}, activation=Activation("relu"))
    check(operator, [(6, 9, 8)], 0)
    assert operator.title == "mul+relu"


ROWS = {
    "softmax": lambda rows: functional.softmax(rows, -1),
    "logarithm": lambda rows: functional.log_softmax(rows, -1),
    "layer norm": lambda rows: functional.layer_norm(rows, rows.shape[-1:]),
}


@settings(max_examples=50, deadline=None)
@given(st.sampled_from(sorted(ROWS)), SHAPES, st.integers(0, 999))
def test_functions_of_a_pixel(check, name, shape, seed):
    check(PerPixel(name, ROWS[name]), [shape], seed)


def test_maps_of_other_sizes_are_refused():
    with pytest.raises(UsageError, match=r"found \[4, 9, 8\] and \[4, 9, 7\]"):
        Arithmetic("add", torch.add).shape((4, 9, 8), (4, 9, 7))
    with pytest.raises(UsageError, match="expected maps of one height and width"):
        Concatenation().shape((4, 9, 8), (4, 9, 7))


@settings(max_examples=30, deadline=None)
@given(
    st.lists(st.integers(1, 9), min_size=1, max_size=4),
    st.tuples(st.integers(1, 9), st.integers(1, 9)),
    st.integers(0, 999),
)
def test_concatenation(check, channels, size, seed):
    check(Concatenation(), [(each, *size) for each in channels], seed, tight=True)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 5), st.integers(1, 6), st.integers(1, 3), SHAPES, st.integers(0, 999))
def test_a_slice_of_channels(check, first, count, step, shape, seed):
    shape = (12, *shape[1:])
    check(ChannelSlice(first, first + count, step), [shape], seed, tight=True)


@pytest.mark.parametrize("groups", [1, 2, 3, 6])
def test_channel_shuffle(check, groups):
    shuffle = ChannelShuffle(groups)
    check(shuffle, [(6, 7, 5)], groups, tight=True)
    values = check.values([(6, 7, 5)], 0)[0]
    assert torch.equal(shuffle.run(values), functional.channel_shuffle(values, groups))


def test_a_vector_is_one_pixel(check):
    concatenation = Concatenation()
    check(concatenation, [(4,), (5,)], 0)
    assert concatenation.reached(Rectangle(0, 0, 1, 1), 1, [(4,), (5,)]) == (0, 0, 1, 1)
    check(Activate(Activation("relu")), [(9,)], 0)
