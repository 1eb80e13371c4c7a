from __future__ import annotations

import functools

import pytest

from gristmill.core.errors import DataError, StepError
from gristmill.engine.failures import as_ours, death, name_of


def test_as_ours():
    error = DataError("x")
    assert as_ours(error, "here") is error
    other = as_ours(ValueError("no"), "here")
    assert isinstance(other, StepError)
    assert str(other) == "here: ValueError: no"
    assert str(as_ours(ValueError(), "here")) == "here: ValueError"


@pytest.mark.parametrize(
    ("fn", "name"),
    [
        (len, "len"),
        (functools.partial(pow, 2), "pow"),
        (DataError, "DataError"),
    ],
)
def test_name_of(fn, name):
    assert name_of(fn) == name


@pytest.mark.parametrize(
    ("code", "message"),
    [
        (-9, "the worker process was killed (SIGKILL)"),
        (-250, "the worker process was killed (signal 250)"),
        (3, "the worker process ended by itself (exit code 3)"),
        (None, "the worker process ended by itself (exit code None)"),
    ],
)
def test_death(code, message):
    assert death(code, "here").message == message
