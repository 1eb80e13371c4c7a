from __future__ import annotations

import warnings

import pytest
import torch

from gristmill.train.jobs.learning_rate import LearningRate


def made(trials, name):
    parameter = torch.nn.Parameter(torch.zeros(2))
    parameter.grad = torch.zeros(2)
    return torch.optim.SGD([parameter], lr=0.1, momentum=0.5), trials.SCHEDULES[name]


def settings_of(optimizer):
    return {key: each for key, each in optimizer.param_groups[0].items() if key != "params"}


@pytest.mark.parametrize("name", ["none", "cosine", "warm up", "cycle"])
@pytest.mark.parametrize("steps", [[0, 1, 2, 3], [0, 3, 3, 9], [7]])
def test_the_settings_of_a_step_are_those_of_the_plain_loop(trials, name, steps):
    optimizer, schedule = made(trials, name)
    plain = schedule(optimizer) if schedule else None
    wanted = []
    for _ in range(10):
        wanted.append(settings_of(optimizer))
        optimizer.step()
        if plain:
            plain.step()
    rate = LearningRate(*made(trials, name))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for step in steps:
            rate.move_to(step)
            assert settings_of(rate.optimizer) == wanted[step]
            assert rate.step == step
