from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.export import Dim

from gristmill.train.draws import seeded
from gristmill.train.text.text_models import BagOfNgrams, EmbeddingMLP, TextCNN, TextTransformer

BUCKETS, CLASSES = 20, 3
FACTORIES = {
    "linear": lambda: BagOfNgrams(BUCKETS, CLASSES),
    "mlp": lambda: EmbeddingMLP(BUCKETS, CLASSES, dim=8, hidden=8),
    "cnn": lambda: TextCNN(BUCKETS, CLASSES, dim=8, channels=4, widths=(1, 2, 4)),
    "transformer": lambda: TextTransformer(BUCKETS, CLASSES, dim=8, heads=2, max_length=9),
}
rows_of_ids = st.lists(st.lists(st.integers(1, BUCKETS), max_size=12), min_size=1, max_size=4)


@pytest.fixture(scope="module", params=FACTORIES)
def model(request):
    model = seeded(FACTORIES[request.param], 1).eval()
    with torch.no_grad():  # weights that begin at zero would hide a mistake
        for name, parameter in model.named_parameters():
            if name == "weights.weight":
                parameter[1:] = torch.randn(BUCKETS, CLASSES, generator=torch.Generator())
    return model


def padded(rows: list[list[int]], extra: int = 0) -> torch.Tensor:
    length = max(1, *(len(row) for row in rows)) + extra
    return torch.tensor([row + [0] * (length - len(row)) for row in rows])


@settings(max_examples=25, deadline=None)
@given(rows=rows_of_ids, extra=st.integers(0, 7))
def test_padding_and_company_change_nothing(model, rows, extra):
    with torch.no_grad():
        together = model(padded(rows, extra))
        alone = torch.cat([model(padded([row])) for row in rows])
    assert together.shape == (len(rows), CLASSES)
    assert together.dtype == torch.float32
    torch.testing.assert_close(together, alone, atol=1e-5, rtol=1e-5)


def test_an_empty_text_has_a_finite_answer(model):
    with torch.no_grad():
        assert torch.isfinite(model(torch.zeros(2, 3, dtype=torch.int64))).all()


def test_exports_with_dynamic_batch_and_length(model):
    ids = padded([[3, 4, 5, 6, 7], [8]])
    shapes = ({0: Dim("batch"), 1: Dim("length")},)
    program = torch.export.export(model, (ids,), dynamic_shapes=shapes)
    for other in (padded([[1, 2, 3]]), padded([[5] * 12, [1], [2, 2], []])):
        torch.testing.assert_close(program.module()(other), model(other), atol=1e-5, rtol=1e-5)


def test_every_parameter_learns_but_the_padding(model):
    model.zero_grad()
    torch.nn.functional.cross_entropy(
        model(padded([[1, 2, 3], list(range(1, 21))])), torch.tensor([0, 2])
    ).backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        if name in ("weights.weight", "embedding.weight"):
            assert not parameter[0].any()
            assert not parameter.grad[0].any()
            assert parameter.grad[1:].any()


def test_linear_is_the_formula():
    model = BagOfNgrams(4, 2)
    with torch.no_grad():
        model.weights.weight[1] = torch.tensor([1.0, 2.0])
        model.weights.weight[3] = torch.tensor([5.0, 0.5])
        model.bias[:] = torch.tensor([0.1, 0.2])
        found = model(torch.tensor([[1, 3, 1, 0]]))
    expected = [7 / math.sqrt(3) + 0.1, 4.5 / math.sqrt(3) + 0.2]
    torch.testing.assert_close(found, torch.tensor([expected]))


def test_cnn_sees_order_and_a_bag_does_not():
    cnn = seeded(FACTORIES["cnn"], 3).eval()
    one, other = torch.tensor([[1, 2, 3, 4]]), torch.tensor([[4, 1, 3, 2]])
    assert not torch.allclose(cnn(one), cnn(other))
    mlp = seeded(FACTORIES["mlp"], 3).eval()
    torch.testing.assert_close(mlp(one), mlp(other))


def test_transformer_knows_positions_up_to_its_last():
    model = seeded(FACTORIES["transformer"], 3).eval()
    early, later = torch.tensor([[1, 2, 3]]), torch.tensor([[3, 1, 2]])
    assert not torch.allclose(model(early), model(later))
    long = torch.tensor([[5] * 9 + [1, 2]])
    swapped = torch.tensor([[5] * 9 + [2, 1]])
    torch.testing.assert_close(model(long), model(swapped))
