"""Convolutions over random windows, groups and sizes."""

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gristmill.core.errors import UsageError
from gristmill.incremental.graph.operators.convolution import Convolution, Padding
from gristmill.incremental.kernels import packed, winograd
from gristmill.incremental.kernels.activation import Activation
from gristmill.incremental.kernels.layer import Layer
from gristmill.incremental.regions.rectangle import Rectangle

SIDES = st.tuples(st.sampled_from([1, 2, 3, 5]), st.sampled_from([1, 2, 3, 5]))
PAIRS = st.tuples(st.integers(1, 3), st.integers(1, 3))
PADDINGS = st.builds(Padding, *[st.integers(0, 3)] * 4)


def convolution_of(kernel, stride, dilation, padding, kind, seed=0, activation=None):
    generator = torch.Generator().manual_seed(seed)
    sizes = {"dense": (7, 6, 1), "deep": (8, 8, 8), "groups": (8, 12, 4), "tiles": (48, 16, 1)}
    outputs, inputs, groups = sizes[kind]
    weight = torch.randn((outputs, inputs // groups, *kernel), generator=generator)
    bias = torch.randn(outputs, generator=generator)
    layer = Layer(weight, bias, stride, dilation, groups, activation)
    return Convolution(layer, padding), inputs


@settings(max_examples=40, deadline=None)
@given(
    kernel=SIDES,
    stride=PAIRS,
    dilation=st.tuples(st.integers(1, 2), st.integers(1, 2)),
    padding=PADDINGS,
    kind=st.sampled_from(["dense", "deep", "groups"]),
    size=st.tuples(st.integers(9, 24), st.integers(9, 24)),
    seed=st.integers(0, 999),
)
def test_regions_reach_and_needs(check, kernel, stride, dilation, padding, kind, size, seed):
    convolution, channels = convolution_of(kernel, stride, dilation, padding, kind, seed)
    convolution.check(size)
    dense = dilation == (1, 1) and stride[0] <= kernel[0] and stride[1] <= kernel[1]
    check(convolution, [(channels, *size)], seed, tight=dense)


@pytest.fixture
def few_channels(monkeypatch):
    """As if tiles paid for few channels and small maps."""
    module = "gristmill.incremental.graph.operators.convolution"
    monkeypatch.setattr(f"{module}.TILED_CHANNELS", 1)
    monkeypatch.setattr(f"{module}.pays", lambda *_: True)
    monkeypatch.setattr(f"{module}._MOST_SPARE", 10.0)


@pytest.mark.skipif(not winograd.available(), reason="no tiles here")
@settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    padding=st.builds(Padding, *[st.integers(0, 2)] * 4),
    size=st.tuples(st.integers(3, 24), st.integers(3, 24)),
    lead=st.sampled_from([0, 2]),
    seed=st.integers(0, 999),
)
def test_regions_reach_and_needs_by_tiles(check, few_channels, padding, size, lead, seed):
    relu = Activation("relu")
    convolution, channels = convolution_of((3, 3), (1, 1), (1, 1), padding, "tiles", seed, relu)
    values = torch.randn((1, channels, *size), generator=torch.Generator().manual_seed(seed))
    direct = convolution.run(values.contiguous(memory_format=torch.channels_last))
    convolution.check(size, lead)
    assert convolution.tiled is not None
    check(convolution, [(channels, *size)], seed)
    found = convolution.run(values.contiguous(memory_format=torch.channels_last))
    torch.testing.assert_close(found, direct, rtol=0, atol=1e-5 * float(direct.abs().max() + 1))


@pytest.mark.parametrize("padding", [(1, 1, 1, 1), (0, 2, 1, 1)], ids=["even", "uneven"])
def test_maps_of_several_frames_are_right_beside_tiles(few_channels, padding):
    convolution, channels = convolution_of((3, 3), (1, 1), (1, 1), Padding(*padding), "tiles")
    convolution.check((9, 14))
    values = torch.randn((3, channels, 9, 14)).contiguous(memory_format=torch.channels_last)
    together = convolution.run(values)
    for one, found in zip(values.split(1), together.split(1), strict=True):
        alone = convolution.run(one.contiguous(memory_format=torch.channels_last))
        torch.testing.assert_close(found, alone, rtol=0, atol=1e-5 * float(alone.abs().max()))


def test_more_padding_than_tiles_read_is_left_to_windows(few_channels):
    convolution, _ = convolution_of((3, 3), (1, 1), (1, 1), Padding(3, 1, 1, 1), "tiles")
    convolution.check((9, 9))
    assert convolution.tiled is None


def test_a_lead_that_takes_many_tiles_more_is_left_out():
    convolution = Convolution(Layer(torch.randn((64, 64, 3, 3))), Padding(1, 1, 1, 1))
    convolution.check((92, 120), 2)
    assert convolution.lead == 2 * winograd.available()
    convolution.check((12, 20), 2)
    assert convolution.lead == 0


@pytest.mark.parametrize(("channels", "tiled"), [(48, False), (64, winograd.available())])
def test_many_channels_are_computed_by_tiles(channels, tiled):
    layer = Layer(torch.randn((channels, channels, 3, 3)))
    convolution = Convolution(layer, Padding(1, 1, 1, 1))
    convolution.check((64, 64))
    assert (convolution.tiled is not None) == tiled


@settings(max_examples=40, deadline=None)
@given(
    kernel=SIDES,
    stride=PAIRS,
    padding=st.tuples(st.integers(0, 3), st.integers(0, 3)),
    kind=st.sampled_from(["dense", "deep", "groups"]),
    size=st.tuples(st.integers(9, 24), st.integers(9, 24)),
    data=st.data(),
)
def test_rows_from_edge_to_edge_have_the_bits_of_the_whole_map(
    kernel, stride, padding, kind, size, data
):
    convolution, channels = convolution_of(kernel, stride, (1, 1), Padding(*padding * 2), kind)
    convolution.check(size)
    values = torch.randn(1, *size, channels).permute(0, 3, 1, 2)
    whole = convolution.run(values)
    _, height, width = convolution.shape((channels, *size))
    top = data.draw(st.integers(0, height - 1))
    region = Rectangle(top, 0, data.draw(st.integers(top + 1, height)), width)
    read = convolution.read(region).clipped(*size)
    first = data.draw(st.integers(0, read.top))
    given_rows = values[:, :, first : data.draw(st.integers(read.bottom, size[0]))]
    found = convolution.run_rows(region, given_rows, first, size[0])
    if found is None:
        inside = convolution.read(region).clipped(size[0], 10**6).height
        copied = convolution.read(region).height != inside and padding[0] % stride[0]
        assert copied or not convolution.exact or convolution._own_padding is None
    else:
        assert torch.equal(found, whole[:, :, region.top : region.bottom])


@pytest.mark.parametrize(
    "activation",
    [Activation("relu"), Activation("hardtanh", (0.0, 6.0)), Activation("swish")],
    ids=lambda each: each.kind,
)
def test_a_fused_activation(check, activation):
    convolution, channels = convolution_of((3, 3), (1, 1), (1, 1), Padding(1, 1, 1, 1), "dense")
    convolution = convolution.with_activation(activation)
    convolution.check((12, 17))
    check(convolution, [(channels, 12, 17)], 5)
    assert convolution.title == f"conv 3x3 6->7+{activation.kind}"


def test_flops_are_two_for_each_product():
    convolution, channels = convolution_of((3, 3), (2, 2), (1, 1), Padding(1, 1, 1, 1), "deep")
    assert convolution.title == "depthwise 3x3 8->8"
    assert convolution.flops(Rectangle(0, 0, 4, 5), [(channels, 30, 30)]) == 2 * 4 * 5 * 8 * 9


def test_a_map_of_other_channels_is_refused():
    convolution, _ = convolution_of((3, 3), (1, 1), (1, 1), Padding(), "dense")
    with pytest.raises(UsageError, match="expected a map of 6 channels, found 5"):
        convolution.shape((5, 9, 9))


def test_a_map_smaller_than_the_window_is_refused():
    convolution, _ = convolution_of((5, 3), (1, 1), (1, 1), Padding(), "dense")
    with pytest.raises(UsageError, match=r"at least 5x3 with its padding .*, found 4x9"):
        convolution.shape((6, 4, 9))


@pytest.mark.usefixtures("without_native")
@pytest.mark.skipif(not packed.available(), reason="no packed convolution here")
def test_a_kernel_that_is_exact_only_without_padding_gets_the_padding_added(check, monkeypatch):
    tried = []

    def agrees(kernel, layer, size, padding):
        tried.append((size, padding))
        return padding == (0, 0)

    monkeypatch.setattr("gristmill.incremental.graph.operators.convolution.agrees", agrees)
    convolution, channels = convolution_of((3, 3), (1, 1), (1, 1), Padding(1, 2, 1, 2), "dense")
    convolution.check((9, 9))
    assert tried == [((9, 9), (1, 2)), ((11, 13), (0, 0))]
    assert convolution.exact
    check(convolution, [(channels, 9, 9)], 1, tight=True)


@pytest.mark.usefixtures("without_native")
@pytest.mark.skipif(not packed.available(), reason="no packed convolution here")
def test_a_kernel_that_is_never_exact_says_so(monkeypatch):
    monkeypatch.setattr(
        "gristmill.incremental.graph.operators.convolution.agrees", lambda *_: False
    )
    convolution, _ = convolution_of((3, 3), (1, 1), (1, 1), Padding(1, 1, 1, 1), "dense")
    convolution.check((9, 9))
    assert not convolution.exact
