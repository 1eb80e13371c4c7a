"""Which models are one program in training and in evaluation, and are exported once for both."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from gristmill.train.graphs import exported as exports
from gristmill.train.graphs.capture import capture
from gristmill.train.graphs.modes import ModeReads, plain_modes


class Plain(nn.Module):
    """Two layers and a dropout, which is a part and minds the mode itself."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.other, self.dropout = nn.Linear(4, 4), nn.Linear(4, 4), nn.Dropout(0.5)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.other(self.dropout(torch.relu(self.one(x))))


class Reads(Plain):
    """Its own code asks for the mode."""

    def forward(self, x: Tensor) -> Tensor:
        return F.dropout(super().forward(x), 0.5, self.training)


class Overrides(Plain):
    """Its mode is more than a flag."""

    def train(self, mode: bool = True) -> Overrides:
        self.scale = 2.0 if mode else 1.0
        super().train(mode)
        return self

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) * self.scale


class Two(nn.Module):
    """A block that returns one tensor more in training."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(4, 4)

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        made = self.layer(x)
        return (made, made + 1) if self.training else (made,)


class Uneven(nn.Module):
    """Its own code reads no mode, but its blocks return other things in each."""

    def __init__(self) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(Two() for _ in range(2))

    def forward(self, x: Tensor) -> Tensor:
        for block in self.blocks:
            x = torch.stack(block(x)).sum(0)
        return x


@pytest.fixture
def modes(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Modes of the exports that are made in the test."""
    made: list[bool] = []
    once: Callable[..., object] = exports._export

    def noted(parts: exports.Parts, *rest: object) -> object:
        made.append(vars(parts.shadow.module)["training"])  # a plain read would be noted
        return once(parts, *rest)

    monkeypatch.setattr(exports, "_export", noted)
    return made


def test_code_that_reads_no_mode_is_exported_once(modes: list[bool]) -> None:
    capture(Plain(), (torch.zeros(3, 4),), ways=["exported"])
    assert modes == [True]


@pytest.mark.parametrize("kind", [Reads, Overrides, Uneven])
def test_what_differs_between_modes_is_exported_twice(
    kind: Callable[[], nn.Module], modes: list[bool]
) -> None:
    graph = capture(kind(), (torch.zeros(3, 4),), ways=["exported", "blocks"])
    assert set(modes) == {True, False}
    assert len(graph.layers) > 1


@pytest.mark.parametrize("kind", [Plain, Reads, Overrides, Uneven])
@pytest.mark.parametrize("training", [True, False])
def test_both_modes_are_those_of_the_model(kind: Callable[[], nn.Module], training: bool) -> None:
    model = kind().train(training)
    graph = capture(model, (torch.zeros(3, 4),), ways=["exported", "blocks"])
    x = torch.arange(12.0).reshape(3, 4)
    torch.manual_seed(1)
    expected = model(x)
    stage = graph.stage(0, len(graph.layers))
    stage.bind({name: tensor.detach() for name, tensor in model.state_dict().items()})
    torch.manual_seed(1)
    found = stage({"input.0": x}, training=training)["output"]
    assert torch.equal(found, expected)


def test_reads_are_noted_unless_overlooked_and_the_flag_is_left_as_it_was() -> None:
    model, reads, busy = Plain(), ModeReads(), True
    with reads.noted(lambda: busy):
        assert model.training
        assert not reads.seen
        busy = False
        assert model.eval().training is False
    assert reads.seen
    assert "training" not in vars(nn.Module)
    assert vars(model)["training"] is False


def test_a_module_without_the_flag_still_has_none() -> None:
    model = Plain()
    del model.training
    with ModeReads().noted(lambda: False):
        assert not hasattr(model, "training")


def test_modes_are_plain_where_no_class_has_its_own() -> None:
    assert plain_modes(Plain())
    assert plain_modes(nn.Sequential(nn.BatchNorm1d(4), nn.Dropout()))
    assert not plain_modes(nn.Sequential(Overrides()))
    odd = Plain()
    odd.train = lambda mode=True: odd  # type: ignore[method-assign]
    assert not plain_modes(odd)
