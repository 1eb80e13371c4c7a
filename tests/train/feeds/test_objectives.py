from __future__ import annotations

import functools
import re

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional as F  # noqa: N812

from gristmill.core.errors import TrainError, UsageError
from gristmill.train.feeds.batch import Batch
from gristmill.train.feeds.objectives import (
    IGNORED,
    Objective,
    cross_entropy,
    squared_error,
    token_cross_entropy,
)
from gristmill.train.losses import GeneralizedCrossEntropy

pairs = functools.partial(zip, strict=True)


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def model(outputs: int = 4) -> nn.Sequential:
    with torch.random.fork_rng():
        torch.manual_seed(3)
        return nn.Sequential(nn.Linear(6, 16), nn.Tanh(), nn.Linear(16, outputs))


def batch_of(rows: int, weights: torch.Tensor | None = None, classes: int = 4) -> Batch:
    drawn = torch.Generator().manual_seed(rows)
    x = torch.randn(rows, 6, generator=drawn)
    y = torch.randint(0, classes, (rows,), generator=drawn)
    return Batch((x,), y, torch.ones(rows) if weights is None else weights)


def gradients(module: nn.Module) -> list[torch.Tensor]:
    return [each.grad for each in module.parameters()]


def step(objective: Objective, batch: Batch, micro_batches: int) -> list[torch.Tensor]:
    """The gradients of a step, as every trainer here makes them."""
    module = model()
    for part in batch.split(micro_batches):
        (objective(module(*part.inputs), part) / batch.weight).backward()
    return gradients(module)


# Against plain loops, bit for bit ---------------------------------------------------------------


@given(rows=st.integers(1, 40), parts=st.integers(1, 6))
@settings(deadline=None, max_examples=25)
def test_losses_a_row_are_a_weighted_mean(rows, parts):
    weights = torch.rand(rows, generator=torch.Generator().manual_seed(1)) + 0.1
    batch = batch_of(rows, weights)
    module, first, total = model(), 0, weights.double().sum().item()
    for size in [len(rows_) for rows_ in torch.arange(rows).tensor_split(min(parts, rows))]:
        x, y = (each[first : first + size].clone() for each in (batch.inputs[0], batch.targets))
        losses = F.cross_entropy(module(x), y, reduction="none")
        ((losses * weights[first : first + size]).sum() / total).backward()
        first += size
    for found, wanted in pairs(step(Objective(cross_entropy), batch, parts), gradients(module)):
        assert torch.equal(found, wanted)


@pytest.mark.parametrize("micro_batches", [1, 2, 4])
def test_means_of_equal_micro_batches_are_the_usual_accumulation(micro_batches):
    batch, module = batch_of(32), model()
    for x, y in pairs(*(each.chunk(micro_batches) for each in (batch.inputs[0], batch.targets))):
        (F.cross_entropy(module(x), y) / micro_batches).backward()
    found = step(Objective(nn.CrossEntropyLoss()), batch, micro_batches)
    for mine, usual in pairs(found, gradients(module)):
        assert torch.equal(mine, usual)


@given(rows=st.integers(1, 40), parts=st.integers(1, 6))
@settings(deadline=None, max_examples=25)
def test_means_of_unequal_micro_batches_weigh_by_their_rows(rows, parts):
    batch = batch_of(rows)
    by_mean = step(Objective(F.cross_entropy), batch, parts)
    by_row = step(Objective("cross_entropy"), batch, parts)
    for mine, wanted in pairs(by_mean, by_row):
        torch.testing.assert_close(mine, wanted, rtol=1e-4, atol=1e-6)


def test_equal_weights_go_with_a_mean():
    plain, weighed = batch_of(12), batch_of(12, torch.full((12,), 0.25))
    for loss in (F.cross_entropy, "cross_entropy"):
        objective = Objective(loss)
        for mine, wanted in pairs(step(objective, weighed, 3), step(objective, plain, 3)):
            torch.testing.assert_close(mine, wanted)


def test_outputs_and_targets_of_several_parts():
    def loss(output, targets):
        (logits, guess), (classes, number) = output, targets
        return F.cross_entropy(logits, classes, reduction="none") + (guess - number) ** 2

    logits, guess, numbers = torch.randn(5, 4), torch.randn(5), torch.arange(5.0)
    batch = Batch((logits,), (torch.arange(5) % 4, numbers), torch.arange(5.0))
    found = Objective(loss)((logits, guess), batch)
    wanted = sum(
        row * (F.cross_entropy(logits[row], torch.tensor(row % 4)) + (guess[row] - row) ** 2)
        for row in range(5)
    )
    torch.testing.assert_close(found, wanted)


def test_low_precision_is_summed_in_float32():
    batch = batch_of(4096)
    half = Objective(lambda output, targets: torch.ones(4096, dtype=torch.bfloat16))
    assert half(None, batch).dtype == torch.float32
    assert half(None, batch).item() == 4096
    mean = Objective(lambda output, targets: torch.tensor(1.25, dtype=torch.bfloat16))
    assert mean(None, batch).item() == 1.25 * 4096


# The losses by name -----------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(), (5,), (3, 2)])
def test_cross_entropy_a_row(shape):
    logits = torch.randn(6, 4, *shape)
    classes = torch.randint(0, 4, (6, *shape))
    found = cross_entropy(logits, classes)
    for row in range(6):
        wanted = F.cross_entropy(logits[row : row + 1], classes[row : row + 1])
        torch.testing.assert_close(found[row], wanted)
    soft = F.one_hot(classes, 4).movedim(-1, 1).float()
    torch.testing.assert_close(cross_entropy(logits, soft), found)


def test_token_cross_entropy_leaves_out_what_does_not_count():
    logits, tokens = torch.randn(4, 7, 9), torch.randint(0, 9, (4, 7))
    tokens[0, 3:], tokens[1, :], tokens[2, 0] = IGNORED, IGNORED, IGNORED
    found = token_cross_entropy(logits, tokens)
    assert found[1].item() == 0
    for row in (0, 2, 3):
        torch.testing.assert_close(found[row], F.cross_entropy(logits[row], tokens[row]))
    torch.testing.assert_close(found, cross_entropy(logits.movedim(-1, 1), tokens))


@pytest.mark.parametrize("shape", [(6,), (6, 3), (6, 2, 2)])
def test_squared_error_a_row(shape):
    output, targets = torch.randn(shape), torch.randn(shape)
    wanted = torch.stack([F.mse_loss(*pair) for pair in pairs(output, targets)])
    torch.testing.assert_close(squared_error(output, targets), wanted)


# What cannot be minimised -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("loss", "name"),
    [
        ("cross_entropy", "cross_entropy"),
        (F.cross_entropy, "cross_entropy"),
        (nn.MSELoss(), "MSELoss()"),
        (GeneralizedCrossEntropy(0.5), "GeneralizedCrossEntropy(q=0.5)"),
    ],
)
def test_names(loss, name):
    assert Objective(loss).name == name


@pytest.mark.parametrize(
    ("loss", "message"),
    [
        (
            "crossentropy",
            "unknown loss 'crossentropy', expected one of cross_entropy, soft_cross_entropy, "
            "token_cross_entropy, squared_error",
        ),
        (
            nn.CrossEntropyLoss(reduction="sum"),
            "CrossEntropyLoss() sums over the rows, so the step would grow with the batch\n"
            "  fix: use reduction='none' (or 'mean')",
        ),
    ],
)
def test_losses_that_are_refused(loss, message):
    with pytest.raises(UsageError, match=f"^{re.escape(message)}$"):
        Objective(loss)


def test_a_mean_cannot_be_weighed():
    batch = batch_of(3, torch.tensor([1.0, 1.0, 0.5]))
    message = (
        "loss cross_entropy: rows have weights, but the loss gives one number for all of them\n"
        "  fix: return one loss a row: reduction='none'"
    )
    with pytest.raises(TrainError, match=f"^{re.escape(message)}$"):
        Objective(F.cross_entropy)(torch.zeros(3, 4), batch)


@pytest.mark.parametrize(("answer", "found"), [(torch.zeros(3, 7), "[3, 7]"), (0.5, "float")])
def test_losses_of_another_shape(answer, found):
    message = (
        f"loss test_losses_of_another_shape.<locals>.loss: the loss of a batch of 3 rows must be "
        f"one number a row, [3], or one in all, found {found}\n"
        f"  fix: average over the other axes: losses.flatten(1).mean(1)"
    )

    def loss(output, targets):
        return answer

    with pytest.raises(TrainError, match=f"^{re.escape(message)}$"):
        Objective(loss)(None, batch_of(3))


@pytest.mark.parametrize(
    ("loss", "output", "targets", "message"),
    [
        (cross_entropy, (5, 4), torch.zeros(5, 1, dtype=torch.int64),
         "expected classes of shape [5], found [5, 1]"),
        (cross_entropy, (5, 4), torch.zeros(5, 3), "expected probabilities of shape [5, 4], "
         "found [5, 3]"),
        (token_cross_entropy, (5, 7, 9), torch.zeros(5, 9, dtype=torch.int64),
         "expected tokens of shape [5, 7], found [5, 9]"),
        (squared_error, (5, 1), torch.zeros(5), "expected targets of shape [5, 1], found [5]"),
    ],
)  # fmt: skip
def test_shapes_that_would_only_broadcast(loss, output, targets, message):
    with pytest.raises(TrainError, match=f"^{re.escape(message)}$"):
        loss(torch.zeros(output), targets)


def test_a_partial_is_named_by_what_it_holds():
    assert "functools.partial" in Objective(functools.partial(F.cross_entropy)).name


# What users get wrong ---------------------------------------------------------------------------


def wrong(loss: object, output: object, targets: torch.Tensor, message: str) -> None:
    batch = Batch((torch.ones(len(targets)),), targets, torch.ones(len(targets)))
    with pytest.raises(TrainError, match=f"^{re.escape(message)}$"):
        Objective(loss)(output, batch)


def test_targets_that_are_no_classes():
    message = (
        "expected classes 0 to 1, as the model has 2 outputs, found 0 to 5\n"
        "  fix: number the classes from 0 on; -100 is for places that don't count"
    )
    wrong("cross_entropy", torch.zeros(3, 2), torch.tensor([0, 5, IGNORED]), message)
    tokens = torch.tensor([[0, 5], [1, IGNORED]])
    wrong("token_cross_entropy", torch.zeros(2, 2, 2), tokens, message)


def test_outputs_that_are_no_logits():
    message = (
        "expected logits float{} from the model, found {}\n"
        "  fix: let the model return them, or hand in a loss function of your own"
    )
    classes = torch.tensor([0, 1])
    rows = "[rows, classes, ...]"
    wrong("cross_entropy", torch.zeros(2), classes, message.format(rows, "float32[2]"))
    wrong("cross_entropy", (torch.zeros(2, 2),), classes, message.format(rows, "tuple"))
    texts = "[rows, length, vocabulary]"
    wrong("token_cross_entropy", torch.ones(2, 3), classes, message.format(texts, "float32[2, 3]"))


def test_a_loss_that_raises():
    def picky(output, targets):
        raise KeyError("gone")

    line = picky.__code__.co_firstlineno + 1
    message = (
        f"test_objectives.py:{line}, in picky: loss {picky.__qualname__} of output float32[2] and "
        "targets int64[2] failed: KeyError: 'gone'"
    )
    wrong(picky, torch.zeros(2), torch.tensor([0, 1]), message)


def test_a_loss_that_is_none():
    message = (
        "expected a loss function of (output, targets), or a name, found None\n"
        "  fix: names: cross_entropy, soft_cross_entropy, token_cross_entropy, squared_error"
    )
    with pytest.raises(UsageError, match=f"^{re.escape(message)}$"):
        Objective(None)
