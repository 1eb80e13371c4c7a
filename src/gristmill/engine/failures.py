"""How an error inside a worker reaches the caller: the same under every engine."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from gristmill.core.errors import GristmillError, StepError, UsageError
from gristmill.core.processes.death import Death


def as_ours(error: BaseException, where: str) -> GristmillError:
    """Return the error itself if it is one of ours, else a `StepError` that says what it was."""
    if isinstance(error, GristmillError):
        return error
    said = str(error)
    kind = type(error).__name__
    return StepError(f"{kind}: {said}" if said else kind, where=where)


def name_of(fn: Callable[..., Any]) -> str:
    """Return a name for messages: of the function, or of what it is made of."""
    inner = fn.func if isinstance(fn, functools.partial) else fn
    return str(getattr(inner, "__qualname__", type(inner).__qualname__))


def not_sendable(fn: Callable[..., Any], reason: str) -> UsageError:
    """Return the error for a function that worker processes cannot get at."""
    return UsageError(
        f"{name_of(fn)!r} cannot be sent to worker processes: {reason}",
        fix="define it at the top level of a module (no lambda, no function inside a function, "
        'no notebook cell), or use engine="inline"',
    )


class WorkerDiedError(StepError):
    """A worker ended in the middle of its work: whoever can tries again in another one."""


def death(exit_code: int | None, where: str, *, at_start: bool = False) -> WorkerDiedError:
    """Return the error for a worker process that ended in the middle of its work.

    Args:
        exit_code: of the process; negative for the signal that ended it.
        where: what it was at.
        at_start: whether it had not said a word yet.
    """
    if exit_code is not None and exit_code < 0:
        fix = "if memory ran out, use fewer workers or smaller partitions"
        return WorkerDiedError(
            f"the worker process {Death(exit_code).reason}", where=where, fix=fix
        )
    return WorkerDiedError(
        f"the worker process ended by itself (exit code {exit_code})",
        where=where,
        fix='a script that uses worker processes keeps its calls under `if __name__ == "__main__":`'
        if at_start
        else 'something that it called ends the process: engine="inline" shows what',
    )


def check_count(n: int) -> None:
    """Check a number of workers.

    Raises:
        UsageError: it is less than 1.
    """
    if n < 1:
        raise UsageError(f"expected at least 1 worker, found {n}")
