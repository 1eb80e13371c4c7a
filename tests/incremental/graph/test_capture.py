"""Captured networks against the modules they come from."""

import logging
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional

from gristmill.core.errors import UsageError
from gristmill.incremental.graph.capture import capture
from gristmill.incremental.graph.operators.convolution import Convolution
from gristmill.incremental.graph.operators.opaque import Opaque


def assert_same(graph, module, frame):
    with torch.inference_mode():
        expected = module(frame)
        expected = expected if isinstance(expected, tuple) else (expected,)
        values = graph.run(frame)
    assert len(expected) == len(graph.outputs)
    for number, each in zip(graph.outputs, expected, strict=True):
        error = (values[number] - each).abs().max() / each.abs().max()
        assert values[number].shape == each.shape
        assert error < 1e-5


def small(*layers):
    return nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), *layers).eval()


@pytest.mark.parametrize("size", [(45, 38), (32, 32), (51, 60)])
def test_a_graph_computes_what_its_module_does(net, frames, size):
    module, graph = net
    assert_same(graph, module, frames(*size, seed=1))


def test_shapes_are_those_of_the_values(net, frames):
    _, graph = net
    for size in [(45, 38), (40, 56)]:
        values = graph.run(frames(*size))
        assert graph.shapes((3, *size)) == [tuple(each.shape[1:]) for each in values]


def test_nothing_is_unknown_in_these_networks(net):
    _, graph = net
    assert graph.notes == ()
    assert not any(isinstance(node.operator, Opaque) for node in graph.nodes)
    names = [node.name for node in graph.nodes]
    assert len(set(names)) == len(names)


def test_normalization_and_activations_are_fused(frames):
    module = small(nn.BatchNorm2d(4), nn.ReLU6(), nn.ZeroPad2d((0, 1, 0, 1)), nn.Conv2d(4, 2, 2))
    graph = capture(module, frames(9, 8))
    assert [node.operator.title for node in graph.nodes] == [
        "conv 3x3 3->4+hardtanh",
        "conv 2x2 4->2",
    ]
    assert [node.name for node in graph.nodes] == ["0", "4"]
    assert graph.shapes() == [(4, 9, 8), (2, 9, 8)]


def test_what_is_read_twice_is_not_fused(frames):
    class Twice(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.Conv2d(3, 4, 1)

        def forward(self, x):
            x = self.layer(x)
            return torch.relu(x) + x

    module = Twice()
    graph = capture(module, frames(6, 7))
    assert [node.operator.title for node in graph.nodes] == ["conv 1x1 3->4", "relu", "add"]
    assert_same(graph, module, frames(6, 7))


def test_the_modes_of_a_module_are_left_alone(frames):
    module = small(nn.BatchNorm2d(4)).train()
    module[1].eval()
    graph = capture(module, frames(6, 7))
    assert (module.training, module[0].training, module[1].training) == (True, True, False)
    assert graph.notes == ("the model was in training mode; its evaluation mode was captured",)
    assert_same(graph, module.eval(), frames(6, 7))


def test_weights_are_those_of_the_capture(frames):
    module = small()
    graph = capture(module, frames(6, 7), any_size=False)
    before = graph.run(frames(6, 7))[graph.output]
    with torch.no_grad():
        module[0].weight.mul_(2.0)
        module[0].bias.add_(1.0)
    assert torch.equal(graph.run(frames(6, 7))[graph.output], before)


def test_an_unknown_operator_makes_the_rest_dense(frames):
    class Attention(nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.last = nn.Conv2d(3, 4, 3), nn.Conv2d(4, 2, 1)

        def forward(self, x):
            x = self.first(x)
            tokens = x.flatten(2)
            weights = (tokens.transpose(1, 2) @ tokens).softmax(-1)
            return self.last((tokens @ weights).view_as(x))

    module = Attention().eval()
    graph = capture(module, frames(9, 8))
    first, *unknown, last = (node.operator for node in graph.nodes)
    assert isinstance(first, Convolution)
    assert isinstance(last, Convolution)
    assert all(isinstance(operator, Opaque) for operator in unknown)
    assert any("softmax" in operator.title for operator in unknown)
    assert graph.notes == (
        "flatten: the reach of flatten is not known: "
        "it and everything after it are computed in full",
    )
    assert_same(graph, module, frames(9, 8))
    assert_same(graph, module, frames(12, 10))


def test_a_model_without_convolutions(frames):
    module = nn.Sequential(nn.AvgPool2d(2), nn.Flatten(), nn.LayerNorm(60), nn.Linear(60, 2)).eval()
    graph = capture(module, frames(8, 10))
    assert_same(graph, module, frames(8, 10))
    assert len(graph.notes) == 1


def test_several_results_and_the_frame_itself(frames):
    class Several(nn.Module):
        def forward(self, x):
            largest, where = x.topk(2, dim=1)
            return x, {"largest": largest, "where": where}

    graph = capture(Several(), frames(5, 6))
    values = graph.run(frames(5, 6))
    largest, where = frames(5, 6).topk(2, dim=1)
    found = [values[number] for number in graph.outputs]
    assert all(map(torch.equal, found, [frames(5, 6), largest, where]))


@pytest.mark.parametrize("returned", [lambda x: (x, x.shape[2]), lambda x: None])
def test_what_is_no_tensor_is_refused(frames, returned):
    class Returning(nn.Module):
        def forward(self, x):
            return returned(x * 2)

    with pytest.raises(UsageError, match="returns tensors, alone or in lists and dicts"):
        capture(Returning(), frames(5, 6))


def test_a_result_that_is_left_out(frames):
    class Left(nn.Module):
        def forward(self, x):
            return {"out": x * 2, "aux": None}

    graph = capture(Left(), frames(5, 6))
    assert torch.equal(graph.run(frames(5, 6))[graph.output], frames(5, 6) * 2)
    assert len(graph.outputs) == 1


def test_changes_in_place_of_a_part(frames):
    class Partly(nn.Module):
        def forward(self, x):
            x = x + 1
            x[:, :2].mul_(3)
            kept = x
            x *= 2
            return kept - 1

    graph = capture(Partly(), frames(5, 6))
    assert_same(graph, Partly(), frames(5, 6))


class Same(nn.Module):
    """Padding as TensorFlow counts it, and a map made as large as another: both by the size."""

    def __init__(self):
        super().__init__()
        self.first = nn.Conv2d(3, 4, 3, padding=1)
        self.halved = nn.Conv2d(4, 4, 5, 2)
        self.last = nn.Conv2d(8, 2, 1)

    def forward(self, x):
        x = self.first(x)
        rows, columns = (max(2 * (math.ceil(size / 2) - 1) + 5 - size, 0) for size in x.shape[2:])
        sides = (columns // 2, columns - columns // 2, rows // 2, rows - rows // 2)
        low = functional.interpolate(self.halved(functional.pad(x, sides)), scale_factor=2)
        more, beside = x.shape[2] - low.shape[2], x.shape[3] - low.shape[3]
        low = functional.pad(low, (beside, 0, more, 0), mode="replicate")
        return self.last(torch.cat([functional.pad(x, (1, -1)), low], 1))


def test_borders_that_depend_on_the_size(frames):
    module = Same().eval()
    graph = capture(module, frames(17, 23))
    assert graph.notes == ()
    for size in (16, 22), (17, 22), (23, 31):
        assert_same(graph, module, frames(*size, seed=1))


def test_a_size_that_takes_another_path_is_refused(frames):
    class Even(nn.Module):
        def forward(self, x):
            return x[:, :, 1:] if x.shape[2] % 2 else x * 2

    graph = capture(Even(), frames(8, 10))
    assert_same(graph, Even(), frames(12, 10))
    with pytest.raises(UsageError) as caught:
        graph.run(frames(9, 10))
    assert str(caught.value) == (
        "expected frames of 10x8 (width x height), found 10x9 (width x height): the network "
        "computes something else at that size\n"
        "  fix: capture it again with an example of that size"
    )


def test_a_size_that_does_not_fit_is_refused(frames):
    module = nn.Sequential(nn.Conv2d(3, 2, 5), nn.Flatten(), nn.Linear(2 * 4 * 6, 3)).eval()
    graph = capture(module, frames(8, 10))
    assert_same(graph, module, frames(8, 10))
    with pytest.raises(UsageError, match="found 12x8"):
        graph.shapes((3, 8, 12))


def test_one_size_only(frames):
    graph = capture(small(), frames(8, 10), any_size=False)
    with pytest.raises(UsageError, match="capture it again"):
        graph.run(frames(8, 11))


@pytest.mark.parametrize(
    ("example", "message"),
    [
        (torch.zeros(3, 8, 8), r"expected an example of shape \[1, channels.*found \[3, 8, 8\]"),
        (torch.zeros(2, 3, 8, 8), r"found \[2, 3, 8, 8\]"),
        (torch.zeros(1, 3, 8, 0), r"found \[1, 3, 8, 0\]"),
        (
            torch.zeros(1, 3, 8, 8, dtype=torch.uint8),
            "expected an example of float32, found torch.uint8",
        ),
        (torch.zeros(1, 4, 8, 8), "the model can't be captured"),
    ],
    ids=["rank", "batch", "empty", "bytes", "channels"],
)
def test_a_wrong_example_is_refused(example, message):
    with pytest.raises(UsageError, match=message):
        capture(small(), example)


def test_weights_of_another_precision_are_refused(frames):
    with pytest.raises(
        UsageError, match=r"0\.weight: expected weights of float32, found torch\.half|float16"
    ):
        capture(small().half(), frames(8, 8))


def test_frames_of_another_form_are_refused(net, frames):
    _, graph = net
    with pytest.raises(UsageError, match=r"expected a frame of shape \[1, channels"):
        graph.run(torch.zeros(3, 45, 38))
    with pytest.raises(UsageError, match="expected frames of 3 channels"):
        graph.run(torch.zeros(1, 4, 45, 38))


class Tokens(nn.Module):
    """A transformer of patches: its dropout is there, and switched off."""

    def __init__(self):
        super().__init__()
        self.patch = nn.Conv2d(3, 8, 4, 4)
        layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
        self.encoder = nn.TransformerEncoder(layer, 1, enable_nested_tensor=False)
        self.rows = nn.GRU(8, 4, num_layers=2, dropout=0.5, batch_first=True)

    def forward(self, x):
        x = self.patch(x).flatten(2).transpose(1, 2)
        return self.encoder(x).mean(1), self.rows(x)[0]


def test_a_transformer_is_computed_in_full(frames):
    module = Tokens().eval()
    graph = capture(module, frames(16, 24), any_size=False)
    assert_same(graph, module, frames(16, 24, seed=1))
    assert isinstance(graph.nodes[0].operator, Convolution)
    assert "computed in full" in graph.notes[0]


def test_conditions_that_nobody_can_solve_leave_one_size(frames, capfd):
    class Attended(nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.gate = nn.Conv2d(3, 4, 3, 2, 1), nn.Linear(4, 4)

        def forward(self, x):
            x = self.first(x)
            pooled = functional.avg_pool2d(x, (x.shape[2], x.shape[3]))
            gate = self.gate(pooled.flatten(1)) + self.gate(pooled.view(1, -1))
            return x * gate[:, :, None, None].expand_as(x).sigmoid()

    module = Attended().eval()
    graph = capture(module, frames(16, 24))
    assert_same(graph, module, frames(16, 24, seed=1))
    assert capfd.readouterr().err == ""


def test_what_the_export_guesses_is_not_printed(frames, capfd):
    module = small(nn.MaxPool2d(3, 2, ceil_mode=True), nn.MaxPool2d(3, 2, ceil_mode=True))
    graph = capture(module, frames(32, 48))
    assert_same(graph, module, frames(33, 50))
    assert capfd.readouterr().err == ""


def test_a_frame_that_the_network_cannot_take_is_told_and_no_traceback_logged(frames, caplog):
    logger = logging.getLogger("torch._subclasses.fake_tensor")
    logger.addHandler(caplog.handler)
    try:
        with pytest.raises(UsageError, match="Output size is too small"):
            capture(small(nn.MaxPool2d(2)), frames(1, 16), any_size=False)
    finally:
        logger.removeHandler(caplog.handler)
    assert [record for record in caplog.records if record.name == logger.name] == []
    assert not logger.disabled


@settings(max_examples=25, deadline=None)
@given(
    st.tuples(st.integers(1, 5), st.integers(1, 5)),
    st.integers(1, 3),
    st.tuples(st.integers(0, 2), st.integers(0, 2)),
    st.integers(0, 2),
    st.sampled_from([1, 2]),
    st.booleans(),
)
def test_transposed_convolutions(kernel, stride, padding, more, groups, bias):
    more = min(more, stride - 1)
    padding = tuple(map(min, padding, (side - 1 for side in kernel)))
    module = nn.ConvTranspose2d(4, 6, kernel, stride, padding, more, groups, bias).eval()
    values = torch.randn((1, 4, 7, 9), generator=torch.Generator().manual_seed(0))
    graph = capture(module, values, any_size=False)
    assert_same(graph, module, values)
    assert graph.notes == ()


def test_random_numbers_are_refused(frames):
    class Noisy(nn.Module):
        def forward(self, x):
            return x + torch.randn_like(x)

    with pytest.raises(UsageError, match="draws random numbers in evaluation mode"):
        capture(Noisy(), frames(6, 6))


def test_a_branch_on_values_is_refused(frames):
    class Branching(nn.Module):
        def forward(self, x):
            return x * 2 if x.sum() > 0 else x

    with pytest.raises(UsageError, match="the model can't be captured"):
        capture(Branching(), frames(6, 6))
