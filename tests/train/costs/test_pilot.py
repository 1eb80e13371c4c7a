"""Bytes against what torch really holds; seconds only for sense."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import pytest
import torch
from torch import Tensor, nn
from torch.autograd.graph import saved_tensors_hooks

from gristmill.core.errors import TrainError, UsageError
from gristmill.train.costs.pilot import Pilot
from gristmill.train.costs.profile import Profile
from gristmill.train.graphs.capture import capture
from gristmill.train.graphs.layer_graph import LayerGraph


class Rows(NamedTuple):
    inputs: tuple[Tensor, ...]
    rows: int


def batch(rows: int, width: int = 8) -> Rows:
    return Rows((torch.linspace(-1, 1, rows * width).reshape(rows, width),), rows)


def objective(output: Tensor, rows: Rows) -> Tensor:
    return output.square().sum()


def sgd(parameters: Sequence[nn.Parameter]) -> torch.optim.Optimizer:
    return torch.optim.SGD(parameters, lr=0.1)


class Block(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.wide = nn.Linear(width, 3 * width)
        self.narrow = nn.Linear(3 * width, width)
        self.dropout = nn.Dropout(0.5)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.dropout(self.narrow(torch.relu(self.wide(self.norm(x)))))


def graph_of(*modules: nn.Module) -> LayerGraph:
    return capture(nn.Sequential(*modules), batch(4).inputs)


def pilot_of(graph: LayerGraph, *rows: int, **settings: object) -> Pilot:
    optimizer = settings.pop("optimizer", sgd)
    return Pilot(graph, [batch(each) for each in rows], objective, optimizer, **settings)  # type: ignore[arg-type]


def saved_bytes(module: nn.Module, rows: Rows) -> int:
    """Bytes that a whole model keeps for its backward pass, but for weights and inputs."""
    kept: dict[int, int] = {}

    def note(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    with saved_tensors_hooks(note, lambda tensor: tensor):
        loss = objective(module(*rows.inputs), rows)
    for tensor in (*module.parameters(), *rows.inputs):
        kept.pop(tensor.untyped_storage().data_ptr(), None)
    del loss
    return sum(kept.values())


def test_bytes_are_those_of_the_whole_model() -> None:
    torch.manual_seed(0)
    module = nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 8), Block(8), Block(8))
    profile = pilot_of(capture(module, batch(4).inputs), 4, 32).profile()
    for rows in (4, 32):
        costs = profile.costs(rows)
        assert sum(cost.activation_bytes for cost in costs) == saved_bytes(module, batch(rows))
    weights = sum(each.nbytes for each in module.parameters())
    assert sum(cost.weight_bytes for cost in costs) == weights
    assert sum(cost.gradient_bytes for cost in costs) == weights


def test_activations_of_any_cut_add_up_to_the_same() -> None:
    graph = graph_of(nn.Linear(8, 8), Block(8), nn.Tanh(), nn.Linear(8, 8), Block(8))
    pilot = pilot_of(graph, 4)
    layers = len(graph.layers)
    whole = sum(cost.activation_bytes for cost in pilot.profile((0, layers)).costs(4))
    for cut in range(1, layers):
        parts = pilot.profile((0, cut, layers))
        assert sum(cost.activation_bytes for cost in parts.costs(4)) == whole
        assert parts.cuts == (0, cut, layers)


@pytest.mark.parametrize(
    ("make", "per_weight", "per_tensor"),
    [
        (lambda p: torch.optim.SGD(p, lr=0.1), 0, 0),
        (lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9), 4, 0),
        (lambda p: torch.optim.AdamW(p), 8, 4),
        (lambda p: torch.optim.AdamW(p, amsgrad=True), 12, 4),
        (lambda p: torch.optim.RMSprop(p), 4, 4),
        (lambda p: torch.optim.Adagrad(p), 4, 4),
    ],
)
def test_state_bytes(
    make: Callable[[Sequence[nn.Parameter]], torch.optim.Optimizer],
    per_weight: int,
    per_tensor: int,
) -> None:
    cost = pilot_of(graph_of(nn.Linear(8, 5)), 4, optimizer=make).profile().costs(4)[0]
    assert cost.state_bytes == per_weight * (8 * 5 + 5) + per_tensor * 2


def test_factored_state_is_smaller() -> None:
    graph = graph_of(nn.Linear(8, 5, bias=False))
    made: list[torch.optim.Optimizer] = []

    def adafactor(parameters: Sequence[nn.Parameter]) -> torch.optim.Optimizer:
        made.append(torch.optim.Adafactor(parameters))
        return made[-1]

    cost = pilot_of(graph, 4, optimizer=adafactor).profile().costs(4)[0]
    held = [each for state in made[-1].state.values() for each in state.values()]
    assert cost.state_bytes == sum(each.nbytes for each in held if isinstance(each, Tensor))
    assert cost.state_bytes < 4 * 40


class Counting(torch.optim.Optimizer):
    """Keeps a number, a list of tensors, and nothing for vectors."""

    def __init__(self, parameters: Sequence[nn.Parameter]) -> None:
        super().__init__(parameters, {})

    def step(self, closure: object = None) -> None:
        for group in self.param_groups:
            for each in group["params"]:
                if each.dim() > 1:
                    self.state[each] = {"step": 1, "sums": [each.grad.sum(0), each.grad.sum(1)]}


def test_state_of_a_user_s_optimiser() -> None:
    cost = pilot_of(graph_of(nn.Linear(8, 5)), 4, optimizer=Counting).profile().costs(4)[0]
    assert cost.state_bytes == 8 + 4 * (8 + 5)


def test_an_optimiser_that_needs_a_closure() -> None:
    pilot = pilot_of(graph_of(nn.Linear(8, 5)), 4, optimizer=torch.optim.LBFGS)
    with pytest.raises(TrainError, match="LBFGS cannot update parameters one by one"):
        pilot.profile()


def test_frozen_layers_have_no_gradients() -> None:
    frozen = nn.Linear(8, 8).requires_grad_(False)
    costs = pilot_of(graph_of(frozen, nn.Linear(8, 8)), 4).profile().costs(4)
    assert [cost.gradient_bytes for cost in costs] == [0, 4 * 72]
    assert [cost.weight_bytes for cost in costs] == [4 * 72, 4 * 72]


def test_64_layers_of_one_kind_have_one_in_memory_and_are_run_once() -> None:
    with torch.device("meta"):
        module = nn.Sequential(*(nn.Linear(8, 8) for _ in range(64)), nn.Linear(8, 8))
    alive = most = 0

    def weights(names: Sequence[str]) -> dict[str, Tensor]:
        nonlocal alive, most
        made = {}
        for name in names:
            made[name] = torch.ones(8, 8) if name.endswith("weight") else torch.ones(8)
            alive += 1
            weakref.finalize(made[name].untyped_storage(), gone)
        most = max(most, alive)
        return made

    def gone() -> None:
        nonlocal alive
        alive -= 1

    graph = capture(module, batch(4).inputs)
    pilot = pilot_of(graph, 4, weights=weights)
    profile = pilot.profile()
    assert len(profile.parts) == 65
    # The first reads the model's input, the last feeds the loss.
    assert (pilot.measured, profile.kinds) == (3, 3)
    gc.collect()
    assert most <= 4
    assert alive == 0


def test_draws_and_determinism(capsys: pytest.CaptureFixture[str]) -> None:
    profile = pilot_of(graph_of(nn.Linear(8, 8), Block(8)), 4).profile()
    assert sum(part.draws for part in profile.parts) == 1
    assert all(part.deterministic for part in profile.parts)
    assert profile.warnings == ()


class Unsteady(nn.Module):
    calls = 0

    def forward(self, x: Tensor) -> Tensor:
        Unsteady.calls += 1
        return x * Unsteady.calls


def test_a_layer_that_is_never_twice_the_same_is_warned_about() -> None:
    module = nn.Sequential(nn.Linear(8, 8), Unsteady())
    graph = capture(module, batch(4).inputs, ways=("sequential",))
    profile = pilot_of(graph, 4).profile()
    assert len(profile.warnings) == 1
    assert "gives other bits in a second run with the same draws" in profile.warnings[0]


def test_global_randomness_is_left_alone() -> None:
    graph = graph_of(nn.Linear(8, 8), Block(8))
    torch.manual_seed(7)
    before = torch.random.get_rng_state()
    pilot_of(graph, 4).profile()
    assert torch.equal(before, torch.random.get_rng_state())


def test_figures_are_kept_from_pilot_to_pilot(tmp_path: Path) -> None:
    graph = graph_of(nn.Linear(8, 8), Block(8), Block(8))
    first = pilot_of(graph, 4, 8, cache=tmp_path)
    profile = first.profile()
    again = pilot_of(graph, 4, 8, cache=tmp_path)
    assert again.profile() == profile
    assert first.measured > 0
    assert again.measured == 0
    other = pilot_of(graph, 4, 8, cache=tmp_path, optimizer=torch.optim.AdamW)
    other.profile()
    assert other.measured == first.measured
    for path in tmp_path.iterdir():
        path.write_bytes(b"{")
    damaged = pilot_of(graph, 4, 8, cache=tmp_path)
    damaged.profile()
    assert damaged.measured == first.measured


def test_seconds_make_sense_and_profiles_serialise() -> None:
    profile = pilot_of(graph_of(nn.Linear(8, 8), Block(8)), 4, 64).profile()
    for cost in profile.costs(64, micro_batches=3):
        assert cost.forward_seconds > 0
        assert cost.backward_seconds > 0
        assert cost.update_seconds > 0
        assert 0 <= cost.recomputing <= 2 * cost.forward_seconds
    assert Profile.from_json(profile.to_json()) == profile
    assert str(profile).startswith(f"{len(profile.parts)} parts of ")


def test_values_that_cross_cuts() -> None:
    graph = graph_of(nn.Linear(8, 6), nn.Linear(6, 7), nn.Linear(7, 5))
    profile = pilot_of(graph, 4).profile()
    assert [cost.boundary_bytes for cost in profile.costs(4)] == [4 * 6 * 4, 4 * 7 * 4, 0]
    assert [(each.made, each.read) for each in profile.crossing(4)] == [(0, 1), (1, 2)]


def test_bad_arguments() -> None:
    graph = graph_of(nn.Linear(8, 8), nn.Linear(8, 8))
    with pytest.raises(UsageError, match="a micro-batch of at least one size, found none"):
        pilot_of(graph)
    with pytest.raises(UsageError, match=r"ascending cuts from 0 to 2, found \[0, 1\]"):
        pilot_of(graph, 4).profile((0, 1))
    with pytest.raises(UsageError, match="rows and micro-batches of 1 or more, found 0 and 1"):
        pilot_of(graph, 4).profile().costs(0)
