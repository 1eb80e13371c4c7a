from __future__ import annotations

import functools

import pytest

from gristmill.core.errors import DataError, StepError
from gristmill.core.processes.death import Death
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
    ("found", "message", "fix"),
    [
        (
            Death(-9, out_of_memory=True, memory_limit=500_000_000),
            "was killed by the kernel: the memory limit of its group, 500 MB, is reached",
            "use fewer workers or smaller partitions",
        ),
        (Death(-9), "was killed (SIGKILL)", "if memory ran out"),
        (Death(-11), "crashed in native code (SIGSEGV)", 'engine="inline" under'),
        (Death(-15), "was killed (SIGTERM)", "whoever sent it"),
        (Death(-250), "was killed (signal 250)", "whoever sent it"),
        (Death(3), "ended by itself (exit code 3)", "something that it called"),
        (None, "closed its connection", "something that it called"),
    ],
)
def test_death(found, message, fix):
    error = death(found, "here")
    assert str(error).startswith(f"here: the worker process {message}\n  fix: ")
    assert error.fix.startswith(fix)
