"""Every covered place's results are those of the whole network on the covered picture."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.incremental.graph.conftest import SIZE, frame, mobilenet, trained
from tests.incremental.occlusion.conftest import covered
from torch import nn

from gristmill.incremental.graph.capture import capture
from gristmill.incremental.kernels.native.differences import DifferenceConvolution
from gristmill.incremental.kernels.native.groups import grouped
from gristmill.incremental.kernels.native.integer_mean import IntegerMeanKernel
from gristmill.incremental.kernels.native.library import library
from gristmill.incremental.kernels.native.mean import MeanKernel
from gristmill.incremental.kernels.winograd import WinogradKernel, available
from gristmill.incremental.occlusion.base_values import pixels
from gristmill.incremental.occlusion.batch import Batch
from gristmill.incremental.occlusion.covering import Covering
from gristmill.incremental.occlusion.footprints import footprints
from gristmill.incremental.occlusion.kernels import Kernels
from gristmill.incremental.occlusion.occluder import Occluder
from gristmill.incremental.occlusion.tail import Tail

HEIGHT, WIDTH = SIZE
squares = st.integers(1, 20).flatmap(
    lambda patch: st.tuples(
        st.just(patch),
        st.lists(
            st.tuples(st.integers(0, HEIGHT - patch), st.integers(0, WIDTH - patch)),
            min_size=1,
            max_size=7,
            unique=True,
        ),
    )
)


def results(graph, picture):
    """What the network returns, each node run as it is."""
    values = graph.run(picture)
    return [values[number] for number in graph.outputs]


def answers(graph, picture, cover, covering):
    """Of each position what the network returns, one row each."""
    occluder = Occluder(graph)
    found = {}
    for numbers, outputs in occluder.answers(occluder.base(picture), cover, covering):
        for row, number in enumerate(numbers):
            found[number] = [each[row : row + 1] for each in outputs]
    assert sorted(found) == list(range(len(covering.positions)))
    return [found[number] for number in sorted(found)]


def close(found, expected):
    scale = float(expected.abs().max())
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-5 * scale)


@settings(max_examples=12, deadline=None)
@given(squares=squares)
def test_answers_are_those_of_whole_runs(net, picture, cover, squares):
    module, graph = net
    patch, positions = squares
    covering = Covering(HEIGHT, WIDTH, patch, tuple(positions))
    found = answers(graph, picture, cover, covering)
    for outputs, (top, left) in zip(found, positions, strict=True):
        occluded = covered(picture, cover, patch, top, left)
        for output, expected in zip(outputs, results(graph, occluded), strict=True):
            assert output.shape == expected.shape
            close(output, expected)
        with torch.inference_mode():
            eager = module(occluded)
        close(outputs[0], eager[0] if isinstance(eager, tuple) else eager)


@settings(max_examples=8, deadline=None)
@given(squares=squares)
def test_maps_have_the_bits_of_whole_runs(net, picture, cover, squares):
    _, graph = net
    patch, positions = squares
    frame_shape = tuple(picture.shape[1:])
    shapes = [*graph.shapes(frame_shape), frame_shape]
    occluder = Occluder(graph)
    tail = Tail(graph, shapes, occluder.kernels)
    rows = [footprints(graph, shapes, top, top + patch, 0) for top, _ in positions]
    columns = [footprints(graph, shapes, left, left + patch, 1) for _, left in positions]
    memory = occluder.kernels, occluder.scratch
    batch = Batch(graph, shapes, range(len(positions)), rows, columns, tail, *memory)
    with torch.inference_mode():
        found = batch.run(occluder.base(picture), pixels(cover))
    for number, (top, left) in enumerate(positions):
        whole = graph.run(covered(picture, cover, patch, top, left))
        for node, values in found.items():
            if exact_up_to(graph, node):
                assert torch.equal(values[number], whole[node][0])
            else:
                close(values[number], whole[node][0])


def exact_up_to(graph, number):
    """Whether all that a value is made of promises its bits."""
    node = graph.nodes[number]
    sources = (source for source in node.inputs if source >= 0)
    return node.operator.exact and all(exact_up_to(graph, source) for source in sources)


def test_a_field_that_is_cut_off_changes_less_and_leaves_the_rest(net, picture, cover):
    _, graph = net
    covering = Covering(HEIGHT, WIDTH, 8, ((16, 16),))
    exact = answers(graph, picture, cover, covering)
    cut = answers(graph, picture, cover, covering._replace(keep=0.2))
    same = answers(graph, picture, cover, covering._replace(keep=1.0))
    assert all(map(torch.equal, exact[0], same[0]))
    before = results(graph, picture)
    for output, whole, base in zip(cut[0], exact[0], before, strict=True):
        assert (output - whole).norm() <= 2 * (whole - base).norm()


@pytest.mark.skipif(library() is None, reason="no C kernels here")
@pytest.mark.parametrize("threads", [1, 2])
def test_blocks_in_one_call_have_the_bits_of_their_nodes(threads, monkeypatch):
    picture, cover = frame(HEIGHT, WIDTH), torch.zeros(1, 3, HEIGHT, WIDTH)
    graph = capture(trained(mobilenet()).eval(), picture, any_size=False)
    positions = tuple((top, left) for top in (0, 13, 30) for left in range(0, WIDTH - 6, 9))
    monkeypatch.setattr("gristmill.incremental.kernels.native.sharing.WORTH", 1)
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        found = []
        for blocks in (Kernels(graph).blocks, {}):
            occluder = Occluder(graph)
            occluder.kernels.blocks = blocks
            base = occluder.base(picture)
            parts = list(occluder.answers(base, cover, Covering(HEIGHT, WIDTH, 6, positions)))
            found.append(torch.cat([outputs[0] for _, outputs in parts]))
    finally:
        torch.set_num_threads(before)
    blocks = Kernels(graph).blocks
    assert [last - block.third for last, block in blocks.items()] == [1, 1]  # with their sums
    assert torch.equal(*found)


@pytest.mark.skipif(library() is None, reason="no C kernels here")
@pytest.mark.parametrize(("bits", "most"), [(8, 0.1), (16, 0.02)])
@settings(max_examples=12, deadline=None)
@given(squares=squares)
def test_rounded_differences_err_by_a_small_share_of_what_covering_changes(
    net, picture, cover, bits, most, squares
):
    _, graph = net
    patch, positions = squares
    covering = Covering(HEIGHT, WIDTH, patch, tuple(positions))
    before = results(graph, picture)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("gristmill.incremental.occlusion.kernels.WIDE", 1)
        found = answers(graph, picture, cover, covering._replace(bits=bits))
    for outputs, exact in zip(found, answers(graph, picture, cover, covering), strict=True):
        for output, whole, base in zip(outputs, exact, before, strict=True):
            rounding = 1e-5 * float(base.norm())
            assert (output - whole).norm() <= most * (whole - base).norm() + rounding


@pytest.mark.skipif(library() is None, reason="no C kernels here")
@pytest.mark.parametrize(("wide", "count"), [(1, 1), (12 * 8, 1), (12 * 8 + 1, 0)])
@pytest.mark.parametrize("bits", [8, 16])
def test_blocks_and_lone_pointwise_convolutions_take_differences(bits, wide, count, monkeypatch):
    monkeypatch.setattr("gristmill.incremental.occlusion.kernels.WIDE", wide)
    taken = []

    class Counted(DifferenceConvolution):
        def __init__(self, layer, bits):
            super().__init__(layer, bits)
            taken.append(layer)

    monkeypatch.setattr("gristmill.incremental.occlusion.kernels.DifferenceConvolution", Counted)
    picture, cover = frame(HEIGHT, WIDTH), torch.zeros(1, 3, HEIGHT, WIDTH)
    module = nn.Sequential(mobilenet(), nn.Conv2d(8, 12, 1), nn.ReLU6())
    graph = capture(trained(module).eval(), picture, any_size=False)
    covering = Covering(HEIGHT, WIDTH, 6, ((0, 0), (20, 13)))
    found = answers(graph, picture, cover, covering._replace(bits=bits))
    exact = answers(graph, picture, cover, covering)
    assert [tuple(layer.weight.shape[:2]) for layer in taken] == count * [(12, 8)]
    for (output,), (whole,) in zip(found, exact, strict=True):
        assert not torch.equal(output, whole)


def test_positions_are_grouped_while_their_rows_follow_one_another():
    reads = np.array([[0, 50], [50, 90], [90, 140], [200, 240], [240, 240]])
    gives = np.array([[0, 9], [9, 18], [18, 30], [30, 40], [40, 40]])
    assert grouped(reads, gives, 96).tolist() == [
        [0, 90, 0, 18],
        [90, 140, 18, 30],
        [200, 240, 30, 40],
    ]
    assert grouped(reads, gives, 0).tolist() == np.hstack([reads, gives])[:4].tolist()


@pytest.mark.skipif(library() is None, reason="no C kernels here")
def test_rounded_answers_depend_on_no_other_position(monkeypatch):
    monkeypatch.setattr("gristmill.incremental.occlusion.kernels.WIDE", 1)
    monkeypatch.setattr("gristmill.incremental.kernels.native.sharing.WORTH", 1)
    picture, cover = frame(HEIGHT, WIDTH), torch.zeros(1, 3, HEIGHT, WIDTH)
    graph = capture(trained(mobilenet()).eval(), picture, any_size=False)
    positions = ((0, 0), (13, 9), (20, 13), (20, 14))
    covering = Covering(HEIGHT, WIDTH, 6, positions, bits=8)
    together = answers(graph, picture, cover, covering)
    for (output,), position in zip(together, positions, strict=True):
        ((alone,),) = answers(graph, picture, cover, covering._replace(positions=(position,)))
        assert torch.equal(output, alone)


@pytest.mark.skipif(library() is None, reason="no C kernels here")
@pytest.mark.parametrize("bits", [8, 16])
def test_wide_matrices_take_differences(bits, monkeypatch):
    picture, cover = frame(HEIGHT, WIDTH), torch.zeros(1, 3, HEIGHT, WIDTH)
    module = nn.Sequential(
        nn.Conv2d(3, 40, 3, 2), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(40, 30)
    )
    graph = capture(trained(module).eval(), picture, any_size=False)
    covering = Covering(HEIGHT, WIDTH, 6, ((0, 0), (20, 13)))
    exact = answers(graph, picture, cover, covering)
    (before,) = results(graph, picture)
    for wide in (1200, 1201):
        monkeypatch.setattr("gristmill.incremental.occlusion.kernels.WIDE", wide)
        found = answers(graph, picture, cover, covering._replace(bits=bits))
        for (output,), (whole,) in zip(found, exact, strict=True):
            assert torch.equal(output, whole) is (wide > 1200)
            assert (output - whole).norm() <= 0.02 * (whole - before).norm()


@pytest.mark.skipif(library() is None, reason="no C kernels here")
@pytest.mark.parametrize(
    ("after", "bits", "count"),
    [
        (nn.AdaptiveAvgPool2d(1), 8, 1),
        (nn.AdaptiveAvgPool2d(1), 16, 0),
        (nn.AdaptiveMaxPool2d(1), 8, 0),
        (nn.AdaptiveAvgPool2d(2), 8, 0),
    ],
)
def test_means_of_wide_pointwise_convolutions_are_integers(after, bits, count, monkeypatch):
    monkeypatch.setattr("gristmill.incremental.occlusion.kernels.WIDE", 1)
    made = []

    class Counted(IntegerMeanKernel):
        def __call__(self, rows, mean, spans, known):
            made.append(len(spans))
            return super().__call__(rows, mean, spans, known)

    monkeypatch.setattr("gristmill.incremental.occlusion.kernels.IntegerMeanKernel", Counted)
    picture, cover = frame(HEIGHT, WIDTH), torch.zeros(1, 3, HEIGHT, WIDTH)
    module = nn.Sequential(mobilenet(), nn.Conv2d(8, 40, 1), nn.ReLU6(), after, nn.Flatten())
    graph = capture(trained(module).eval(), picture, any_size=False)
    covering = Covering(HEIGHT, WIDTH, 6, ((0, 0), (20, 13), (HEIGHT - 6, 0)))
    (before,) = results(graph, picture)
    found = answers(graph, picture, cover, covering._replace(bits=bits))
    exact = answers(graph, picture, cover, covering)
    assert made == count * [3]
    for (output,), (whole,) in zip(found, exact, strict=True):
        assert (output - whole).norm() <= 0.1 * (whole - before).norm()


@pytest.mark.skipif(library() is None, reason="no C kernels here")
@pytest.mark.parametrize(("patch", "count"), [(11, 1), (3, 0)])
def test_means_of_maps_that_change_everywhere_come_with_their_convolution(
    patch, count, monkeypatch
):
    made = []

    class Counted(MeanKernel):
        def __call__(self, rows, spans):
            made.append(spans.tolist())
            return super().__call__(rows, spans)

    monkeypatch.setattr("gristmill.incremental.occlusion.kernels.MeanKernel", Counted)
    picture, cover = frame(12, 12), torch.zeros(1, 3, 12, 12)
    module = nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1), nn.Conv2d(8, 40, 1), nn.ReLU6(), nn.AdaptiveAvgPool2d(1)
    )
    graph = capture(trained(module).eval(), picture, any_size=False)
    positions = ((0, 0), (12 - patch, 12 - patch))
    found = answers(graph, picture, cover, Covering(12, 12, patch, positions))
    assert made == count * [[[0, 144], [144, 288]]]
    for (output,), (top, left) in zip(found, positions, strict=True):
        (expected,) = results(graph, covered(picture, cover, patch, top, left))
        assert torch.equal(output, expected)


def test_pixels_of_single_ones_are_computed_where_they_change_and_nowhere_else():
    picture = frame(12, 12)
    module = nn.Sequential(nn.Conv2d(3, 8, 1), nn.ReLU6(), nn.Conv2d(8, 4, 3, padding=1))
    graph = capture(trained(module).eval(), picture, any_size=False)
    occluder = Occluder(graph)
    (batch,) = occluder._plans(Covering(12, 12, 11, ((0, 1),))).batches
    areas = [int(batch._layouts[number].places.areas[0]) for number in range(2)]
    assert areas == [11 * 11, 144]  # the last one reads windows: all of it costs no more


def test_calls_that_no_rule_knows_are_run_frame_by_frame():
    class Sorted(nn.Module):
        def forward(self, x):
            return torch.sort(x.mean(1).flatten(1), dim=1).values

    picture, cover = frame(12, 12), torch.zeros(1, 3, 12, 12)
    graph = capture(nn.Sequential(nn.Conv2d(3, 4, 3), Sorted()), picture, any_size=False)
    assert graph.notes
    positions = ((0, 0), (5, 3), (8, 8))
    found = answers(graph, picture, cover, Covering(12, 12, 4, positions))
    for (output,), (top, left) in zip(found, positions, strict=True):
        (expected,) = results(graph, covered(picture, cover, 4, top, left))
        close(output, expected)


def test_a_place_that_nothing_reads_changes_nothing():
    picture, cover = frame(16, 16), torch.zeros(1, 3, 16, 16)
    module = nn.Sequential(nn.ZeroPad2d(-4), nn.Conv2d(3, 2, 3), nn.Flatten(), nn.Linear(72, 2))
    graph = capture(module, picture, any_size=False)
    found = answers(graph, picture, cover, Covering(16, 16, 3, ((0, 0), (13, 13), (6, 6))))
    before = results(graph, picture)[0]
    close(found[0][0], before)
    close(found[1][0], before)
    assert not torch.allclose(found[2][0], before)


@pytest.mark.parametrize("memory", [1, 1 << 30])
def test_results_do_not_depend_on_how_many_run_together(net, picture, cover, memory, monkeypatch):
    _, graph = net
    covering = Covering(HEIGHT, WIDTH, 6, tuple((top, 4) for top in range(0, 39, 5)))
    expected = answers(graph, picture, cover, covering)
    monkeypatch.setattr("gristmill.incremental.occlusion.occluder.MEMORY", memory)
    for found, whole in zip(answers(graph, picture, cover, covering), expected, strict=True):
        for one, other in zip(found, whole, strict=True):
            close(one, other)


@pytest.mark.skipif(not available(), reason="no tiles here")
def test_large_convolutions_keep_results_within_rounding(monkeypatch):
    made = []

    class Counted(WinogradKernel):
        def __init__(self, layer):
            super().__init__(layer)
            made.append(layer)

    # As if it paid for few channels and positions.
    monkeypatch.setattr("gristmill.incremental.occlusion.kernels.pays", lambda *_: True)
    monkeypatch.setattr("gristmill.incremental.graph.operators.convolution.WinogradKernel", Counted)
    module = nn.Sequential(
        nn.Conv2d(3, 32, 3, 2), nn.ReLU(), nn.Conv2d(32, 32, 3, padding=1), nn.ReLU(),
        nn.Conv2d(32, 32, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(32, 3),
    )  # fmt: skip
    picture, cover = frame(31, 31), torch.zeros(1, 3, 31, 31)
    graph = capture(trained(module).eval(), picture, any_size=False)
    positions = tuple((top, left) for top in (0, 8, 15) for left in (0, 8, 15))
    found = answers(graph, picture, cover, Covering(31, 31, 16, positions))
    assert len(made) == 2
    for (output,), (top, left) in zip(found, positions, strict=True):
        (expected,) = results(graph, covered(picture, cover, 16, top, left))
        close(output, expected)
