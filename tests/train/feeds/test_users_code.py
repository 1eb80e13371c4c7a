from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch

from gristmill.core.errors import TrainError, UsageError
from gristmill.train.feeds.users_code import told, users_code

HERE = Path(__file__).name


def broken() -> None:
    raise KeyError("gone")


def test_an_error_tells_what_why_and_where() -> None:
    line = broken.__code__.co_firstlineno + 1
    message = f"{HERE}:{line}, in broken: the model failed: KeyError: 'gone'\n  fix: mend it"
    expected = pytest.raises(TrainError, match=f"^{re.escape(message)}$")
    with expected as caught, users_code("the model", "mend it"):
        broken()
    assert isinstance(caught.value.__cause__, KeyError)


def test_frames_of_torch_are_passed_over() -> None:
    expected = rf"^{HERE}:\d+, in test_frames\w+: the model failed: RuntimeError: "
    with pytest.raises(TrainError, match=expected), users_code("the model"):
        torch.nn.Linear(2, 3)(torch.ones(1, 4))


@pytest.mark.parametrize("error", [UsageError("no"), MemoryError(), torch.OutOfMemoryError()])
def test_some_errors_pass(error: Exception) -> None:
    assert told("the model", error) is error


def test_an_error_from_nowhere_has_no_place() -> None:
    error = told("the model", ValueError("x"))
    assert str(error) == "the model failed: ValueError: x"
