from __future__ import annotations

import pytest
import torch

from gristmill.core.errors import UsageError
from gristmill.train.optimizers import make_optimizer, optimizer_name
from gristmill.train.settings import OPTIMIZERS, FitSettings


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_known_optimisers_take_the_settings_and_descend(name):
    weight = torch.nn.Parameter(torch.ones(3))
    optimizer = make_optimizer(name, [weight], FitSettings(lr=0.01, weight_decay=0.0))
    assert optimizer.param_groups[0]["lr"] == 0.01
    assert optimizer.param_groups[0]["weight_decay"] == 0.0
    weight.grad = torch.ones(3)
    optimizer.step()
    assert (weight < 1).all()


def test_a_function_of_the_parameters():
    weight = torch.nn.Parameter(torch.ones(3))

    def adagrad(parameters):
        return torch.optim.Adagrad(parameters, lr=0.5)

    made = make_optimizer(adagrad, [weight], FitSettings())
    assert isinstance(made, torch.optim.Adagrad)
    assert optimizer_name(adagrad).endswith("adagrad")


def test_unknown_name():
    with pytest.raises(UsageError, match=r"^unknown optimizer 'lion', expected one of adamw, adam"):
        make_optimizer("lion", [torch.nn.Parameter(torch.ones(1))], FitSettings())
