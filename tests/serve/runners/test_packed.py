"""Packed rows are answered as each row alone, whatever the model does with its tokens."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional

from gristmill.core.errors import BundleError, DataError, ServeError
from gristmill.serve.runners.dense import DenseBody
from gristmill.serve.runners.graph import Graph
from gristmill.serve.runners.packed import PackedBody, gap_between
from gristmill.serve.runners.rows import Ragged
from gristmill.train.draws import seeded
from gristmill.train.export import export_graph

WORDS, WIDTH = 11, 8
lengths = st.lists(st.integers(1, 9), min_size=1, max_size=12)


class Model(nn.Module):
    """A table of words, and what the test does with the words of a row."""

    def __init__(self, act):
        super().__init__()
        self.words, self.places = nn.Embedding(WORDS, WIDTH), nn.Embedding(20, WIDTH)
        self.query, self.key, self.value = (nn.Linear(WIDTH, WIDTH) for _ in range(3))
        self.wide, self.narrow = nn.Linear(WIDTH, 16), nn.Linear(16, WIDTH)
        self.norm, self.out = nn.LayerNorm(WIDTH), nn.Linear(WIDTH, 3)
        self.conv = nn.Conv1d(WIDTH, WIDTH, 3, padding=1)
        self.start = nn.Parameter(torch.ones(WIDTH))
        layer = nn.TransformerEncoderLayer(WIDTH, 2, 16, 0.0, batch_first=True)
        self.layer = nn.TransformerEncoder(layer, 1, enable_nested_tensor=False)
        self._act = act

    def forward(self, ids):
        return self._act(self, ids, ids != 0)


def mean(x, real):
    weight = real.unsqueeze(-1).float()
    return (x * weight).sum(1) / weight.sum(1)


def attended(model, x, mask):
    shape = (*x.shape[:2], 2, -1)
    parts = [each(x).view(shape).transpose(1, 2) for each in (model.query, model.key, model.value)]
    seen = functional.scaled_dot_product_attention(*parts, attn_mask=mask)
    return model.norm(x + seen.transpose(1, 2).reshape(x.shape))


def pooled_attention(model, ids, real):
    x = model.norm(model.words(ids) + model.places(torch.arange(ids.shape[1])))
    x = attended(model, x, real[:, None, None, :])
    return model.out(mean(x + model.narrow(functional.gelu(model.wide(x))), real))


def written_out_attention(model, ids, real):
    x = model.words(ids)
    scores = model.query(x) @ model.key(x).transpose(1, 2) / WIDTH**0.5
    weights = scores.masked_fill(~real[:, None, :], float("-inf")).softmax(-1)
    return mean(weights @ model.value(x), real)


def a_distance_bias(model, ids, real):
    place = torch.arange(ids.shape[1])
    bias = -(place[:, None] - place[None, :]).abs().float()
    bias = bias[None, None].masked_fill(~real[:, None, None, :], float("-inf"))
    return mean(attended(model, model.words(ids), bias), real)


def first_token(model, ids, real):
    return attended(model, model.words(ids), real[:, None, None, :])[:, 0]


def a_token_before_all(model, ids, real):
    first = model.start.expand(ids.shape[0], 1, WIDTH)
    x = torch.cat([first, model.words(ids)], 1)
    mask = functional.pad(real, (1, 0), value=True)
    return attended(model, x, mask[:, None, None, :])[:, 0]


def largest(model, ids, real):
    x = model.narrow(model.wide(model.words(ids)).relu())
    return x.masked_fill(~real.unsqueeze(-1), float("-inf")).amax(1)


def each_token(model, ids, real):
    return model.out(attended(model, model.words(ids), real[:, None, None, :])).softmax(-1)


def row_and_tokens(model, ids, real):
    x = model.words(ids)
    row = mean(x, real)
    return x - row.unsqueeze(1), (x.var(-1).log1p() * real).sum(1, keepdim=True)


def torch_layers(model, ids, real):
    return mean(model.layer(model.words(ids), src_key_padding_mask=~real), real)


def convolution(model, ids, real):
    x = (model.words(ids) * real.unsqueeze(-1)).transpose(1, 2)
    return mean(model.conv(x).relu().transpose(1, 2), real)


def places_counted(model, ids, real):
    return mean(model.places(real.long().cumsum(1) * real), real)


def halves(model, ids, real):
    x = model.wide(model.words(ids))
    one, two = x.chunk(2, -1)
    top = torch.topk(one, 2, -1).values
    joined = torch.cat([one * two.sigmoid(), top, x[..., 3:5]], -1)
    return mean(joined.flip(-1).permute(0, 1, 2), real)


MODELS = [
    pooled_attention, written_out_attention, a_distance_bias, first_token, a_token_before_all,
    largest, each_token, row_and_tokens, torch_layers, convolution, places_counted, halves,
]  # fmt: skip
RAGGED = {"each_token": [True], "row_and_tokens": [True, False]}


@pytest.fixture(scope="module")
def bodies():
    """Each model, packed and dense, made once."""
    made = {}

    def get(act):
        if act.__name__ not in made:
            module = seeded(lambda: Model(act), 3).eval()
            example = torch.tensor([[1, 2, 3, 4], [5, 6, 0, 0], [7, 0, 0, 0]])
            spec, weights = export_graph(module, example)
            ragged = RAGGED.get(act.__name__, [False])
            graph = Graph(spec, weights)
            packed = PackedBody(spec, graph.weights, ragged)
            made[act.__name__] = (module, packed, DenseBody(graph, ragged))
        return made[act.__name__]

    return get


def rows_of(sizes):
    draw = np.random.default_rng(len(sizes))
    return Ragged.of([draw.integers(1, WORDS, size) for size in sizes])


def alone(module, row):
    with torch.inference_mode():
        found = module(torch.from_numpy(row)[None])
    return [each[0].numpy() for each in (found if isinstance(found, tuple) else (found,))]


@pytest.mark.parametrize("act", MODELS, ids=lambda act: act.__name__)
@settings(max_examples=12, deadline=None)
@given(sizes=lengths)
def test_each_row_is_answered_as_alone(bodies, act, sizes):
    module, packed, dense = bodies(act)
    ids = rows_of(sizes)
    for body in (packed, dense):
        found = body([ids], len(ids))
        for at in range(len(ids)):
            for one, all_rows in zip(alone(module, ids[at]), found, strict=True):
                np.testing.assert_allclose(all_rows[at], one, rtol=1e-5, atol=2e-6)


@pytest.mark.parametrize("act", MODELS, ids=lambda act: act.__name__)
def test_answers_come_as_arrays_or_ragged_rows(bodies, act):
    _, packed, _ = bodies(act)
    ids = rows_of([3, 1, 2])
    kinds = [isinstance(each, Ragged) for each in packed([ids], 3)]
    assert kinds == RAGGED.get(act.__name__, [False])
    for each in packed([ids], 3):
        if isinstance(each, Ragged):
            assert each.lengths.tolist() == [3, 1, 2]


def test_dense_layers_run_once_on_all_tokens(bodies):
    """What a token-wise model is packed for: no step of it works group by group."""
    _, packed, _ = bodies(largest)
    with torch.profiler.profile() as profile:
        packed([rows_of([4, 4, 2, 1, 7, 7])], 6)
    products = ("aten::linear", "mkldnn::_linear_pointwise")
    assert sum(each.name in products for each in profile.events()) == 2


def test_equal_work_is_done_once(bodies):
    _, packed, _ = bodies(pooled_attention)
    steps = packed._packing.steps
    assert len({(step.slot) for step in steps}) == len(steps)
    freed = [slot for step in steps for slot in step.freed]
    assert len(freed) == len(set(freed))
    assert not set(freed) & set(packed._packing.outputs)


def test_weights_that_were_joined_are_not_kept_twice(bodies):
    module, packed, _ = bodies(pooled_attention)
    kept = [value for value in packed._packing.start if isinstance(value, torch.Tensor)]
    joined = {each.shape for each in (module.query.weight, module.wide.weight)}
    assert not joined & {value.shape for value in kept}


def test_gap_between(bodies):
    _, packed, dense = bodies(pooled_attention)
    assert gap_between(packed, dense, [rows_of([5, 1, 3])], 3) < 1e-6
    _, _, other = bodies(first_token)
    with pytest.raises(ValueError, match="shapes"):
        gap_between(packed, other, [rows_of([5, 1, 3])], 3)


def test_rows_that_cannot_be_packed(bodies):
    _, packed, _ = bodies(pooled_attention)
    with pytest.raises(ServeError, match="expected rows of free length, found none"):
        packed([np.zeros((2, 3), np.int64)], 2)
    with pytest.raises(DataError, match="row 1: expected one element at least"):
        packed([Ragged(np.array([1]), np.array([0, 1, 1]))], 2)
    with pytest.raises(ServeError, match="index out of range"):
        packed([Ragged.of([np.array([WORDS + 1])])], 1)


class Two(nn.Module):
    """Ids and a number for each of them, and one for the whole row."""

    def __init__(self):
        super().__init__()
        self.words = nn.Embedding(WORDS, 4)

    def forward(self, ids, weights, scale):
        return (self.words(ids) * weights.unsqueeze(-1)).sum(1) * scale.unsqueeze(-1)


def two():
    module = seeded(Two, 0)
    example = (torch.ones(3, 4, dtype=torch.int64), torch.ones(3, 4), torch.ones(3))
    spec, weights = export_graph(module, example, dynamic=[(0, 1), (0, 1), (0,)])
    return module, PackedBody(spec, Graph(spec, weights).weights, [False])


def test_several_inputs():
    module, packed = two()
    ids, scale = rows_of([3, 1, 2, 3]), np.arange(4, dtype=np.float32)
    weights = Ragged(np.linspace(0, 1, 9, dtype=np.float32), ids.offsets)
    found = packed([ids, weights, scale], 4)[0]
    for at in range(4):
        rows = (torch.from_numpy(each[at])[None] for each in (ids, weights))
        with torch.inference_mode():
            one = module(*rows, torch.tensor([float(at)]))[0].numpy()
        np.testing.assert_allclose(found[at], one, rtol=1e-5, atol=1e-6)


def test_inputs_of_different_lengths():
    _, packed = two()
    with pytest.raises(DataError, match="row 0: expected one length in all columns, found 1 and 2"):
        packed([rows_of([1]), Ragged.of([np.ones(2, np.float32)]), np.ones(1, np.float32)], 1)


class Sideways(nn.Module):
    """Answers what is not made of rows."""

    def __init__(self, act):
        super().__init__()
        self.words, self._act = nn.Embedding(WORDS, 4), act

    def forward(self, ids):
        return self._act(self.words(ids))


@pytest.mark.parametrize(
    "act", [lambda x: x.transpose(0, 1), lambda x: x.sum(0), lambda x: x.sum()]
)
def test_outputs_that_are_not_made_of_rows(act):
    spec, weights = export_graph(Sideways(act), torch.ones(3, 4, dtype=torch.int64))
    with pytest.raises(BundleError, match=r"output '.*' is not made of rows"):
        PackedBody(spec, Graph(spec, weights).weights, [False])
