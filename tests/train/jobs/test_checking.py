from __future__ import annotations

import os
import re
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.optim.lr_scheduler import LambdaLR, ReduceLROnPlateau, StepLR

from gristmill.core.errors import TrainError, UsageError
from gristmill.train.jobs.checking import (
    check_budget,
    check_built,
    check_model,
    check_numbers,
    check_rows,
    check_stepping,
    check_whole,
    writable_folder,
)


def says(message: str, kind: type[Exception] = UsageError):
    return pytest.raises(kind, match=f"^{re.escape(message)}$")


def sgd(parameters):
    return torch.optim.SGD(parameters, lr=0.1)


def test_what_is_right_passes(tmp_path):
    check_model(lambda: nn.Linear(1, 1))
    check_whole(1, epochs=1)
    check_numbers(lr=1, decay=0.5)
    check_rows(4, 4)
    check_budget("2GB")
    check_budget(1)
    check_stepping(sgd, None)
    check_stepping(torch.optim.AdamW, lambda optimizer: LambdaLR(optimizer, lambda step: 1.0))
    module = nn.Linear(1, 1)
    assert check_built(module) is module
    assert writable_folder(str(tmp_path / "a" / "b")) == tmp_path / "a" / "b"
    assert (tmp_path / "a" / "b").is_dir()


def test_a_model_that_is_made_already():
    message = (
        "expected a function that makes the model, found a Linear that is made already\n"
        "  fix: model=lambda: Linear(...): its weights are drawn from seed, shard by shard"
    )
    with says(message):
        check_model(nn.Linear(1, 1))
    with says("expected a function that makes the model, found 'gpt2'"):
        check_model("gpt2")


def test_a_function_that_makes_no_model():
    with says("expected the model's function to return a torch module, found 3"):
        check_built(3)
    with says("there is nothing to train: Flatten has no weights"):
        check_built(nn.Flatten())
    with says("there is nothing to train: Linear has no weights"):
        check_built(nn.Linear(1, 1).requires_grad_(False))


@pytest.mark.parametrize("value", [1.5, "3", None, True])
def test_numbers_that_are_not_whole(value):
    with says(f"epochs must be a whole number, found {value!r}"):
        check_whole(1, seed=5, epochs=value)


def test_numbers_that_are_too_small_or_none():
    with says("epochs must be at least 1, found 0"):
        check_whole(1, epochs=0)
    with says("lr must be a number, found 'fast'"):
        check_numbers(lr="fast")


def test_fewer_rows_than_a_batch():
    message = (
        "3 rows of data are fewer than a batch of 4\n  fix: batch_size=3 or less, or more data"
    )
    with says(message, TrainError):
        check_rows(3, 4)


@pytest.mark.parametrize("memory", [1.5, None, True])
def test_a_budget_that_is_none(memory):
    with says(f'expected a budget such as "2GB", or bytes, found {memory!r}'):
        check_budget(memory)


def test_a_budget_of_nothing():
    with says("expected a memory budget above 0 bytes, found 0"):
        check_budget(0)


def test_folders_that_cannot_be(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    with says(f"{tmp_path / 'file'}: the folder of the run cannot be made: File exists"):
        writable_folder(tmp_path / "file")
    with says("expected the path of a folder, found None"):
        writable_folder(None)
    monkeypatch.setattr(os, "access", lambda path, mode: Path(path) != tmp_path)
    with says(f"{tmp_path}: the folder of the run cannot be written to"):
        writable_folder(tmp_path)


def test_optimizers_that_are_none():
    message = (
        "expected a function that makes the optimizer, found a SGD that is made already\n"
        "  fix: optimizer=lambda parameters: torch.optim.SGD(parameters, lr=...)"
    )
    with says(message):
        check_stepping(sgd(nn.Linear(1, 1).parameters()), None)
    with says("expected a name or a function for optimizer, found 3"):
        check_stepping(3, None)
    with says("expected optimizer to return a torch optimiser, found list"):
        check_stepping(list, None)


def test_an_optimizer_that_fails():
    def failing(parameters):
        return torch.optim.SGD(parameters, lr="fast")

    place = f"test_checking.py:{failing.__code__.co_firstlineno + 1}, in failing"
    with pytest.raises(TrainError, match=rf"^{re.escape(place)}: optimizer failed: \w+Error: "):
        check_stepping(failing, None)


def test_schedules_that_are_none():
    message = (
        "expected a function that makes a schedule of an optimiser, found 3\n"
        "  fix: schedule=lambda optimizer: torch.optim.lr_scheduler.StepLR(optimizer, 100)"
    )
    with says(message):
        check_stepping(sgd, 3)
    message = (
        "expected the schedule to be a torch schedule that is stepped by number, found "
        "ReduceLROnPlateau"
    )
    with says(message):
        check_stepping(sgd, ReduceLROnPlateau)
    with pytest.raises(TrainError, match=r"schedule failed: TypeError: .*step_size"):
        check_stepping(sgd, lambda optimizer: StepLR(optimizer))
