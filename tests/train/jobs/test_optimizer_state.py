from __future__ import annotations

import pytest
import torch
from torch.nn import Parameter

from gristmill.core.errors import TrainError
from gristmill.train.graphs.tensor_spec import TensorSpec
from gristmill.train.jobs.optimizer_state import StateSpecs, bind_state, keep_state, no_state

SPECS = [
    TensorSpec("a", (3, 4), "float32"),
    TensorSpec("b", (4,), "float32"),
    TensorSpec("c", (2,), "float32", trainable=False),
]


def views_of(factory):
    """Return memory for the state, filled with rubbish."""
    return {
        each.name: torch.full(each.shape, 7, dtype=each.torch_dtype)
        for each in StateSpecs(factory).of(SPECS)
    }


def parameters(seed=0):
    draw = torch.Generator().manual_seed(seed)
    return {
        each.name: Parameter(torch.randn(each.shape, generator=draw))
        for each in SPECS
        if each.trainable
    }


@pytest.fixture(params=["sgd", "momentum", "adam", "adamw", "fused", "adagrad", "rmsprop", "radam"])
def factory(request, trials):
    return trials.OPTIMIZERS[request.param]


def test_an_optimiser_made_anew_each_step_goes_on_where_the_record_is(factory):
    views, mine, plain = views_of(factory), parameters(), parameters()
    no_state(views)
    steady = factory(list(plain.values()))
    for step in range(5):
        for name, each in plain.items():
            each.grad = torch.randn(each.shape, generator=torch.Generator().manual_seed(step))
            mine[name].grad = each.grad.clone()
            if name == "b" and step < 2:  # its first gradient comes late
                each.grad = mine[name].grad = None
        steady.step()
        fresh = factory(list(mine.values()))
        bind_state(fresh, mine, views)
        fresh.step()
        keep_state(fresh, mine, views)
        assert all(torch.equal(mine[name], plain[name]) for name in plain)


def test_state_of_what_is_not_trained_is_not_kept(trials):
    names = [each.name for each in StateSpecs(trials.OPTIMIZERS["adamw"]).of(SPECS)]
    assert {name.split("/")[0] for name in names} == {"a", "b"}
    assert StateSpecs(torch.optim.SGD).of(SPECS) == []


class Memo(torch.optim.SGD):
    def step(self, closure=None):
        super().step()
        for each in self.param_groups[0]["params"]:
            self.state[each]["notes"] = ["a list"]


@pytest.mark.parametrize(
    ("factory", "message"),
    [
        (torch.optim.LBFGS, "LBFGS cannot update parameters one by one"),
        (Memo, "Memo keeps 'notes' as list; only tensors can be kept in a record"),
    ],
)
def test_an_optimiser_that_cannot_be_kept(factory, message):
    with pytest.raises(TrainError, match=message):
        StateSpecs(factory).of(SPECS)
