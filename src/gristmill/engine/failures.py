"""How an error inside a worker reaches the caller: the same under every engine."""

from __future__ import annotations

import functools
import signal
from collections.abc import Callable
from typing import Any

from gristmill.core.errors import GristmillError, StepError, UsageError
from gristmill.core.processes.death import Death

_ENDS_PROCESSES = (
    "a function that runs on an engine returns a value or raises an error; this ends programs"
)
_MEMORY = "use fewer workers or smaller partitions"
_CRASH = 'engine="inline" under `python -X faulthandler` shows where'
_SIGNAL = "whoever sent it knows why: a scheduler's time limit, or someone's `kill`"


def as_ours(error: BaseException, where: str) -> GristmillError:
    """Return the error itself if it is one of ours, else a `StepError` that says what it was."""
    if isinstance(error, GristmillError):
        return error
    said = str(error)
    kind = type(error).__name__
    fix = None if isinstance(error, Exception) else _ENDS_PROCESSES
    return StepError(f"{kind}: {said}" if said else kind, where=where, fix=fix)


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


def death(found: Death | None, where: str, *, at_start: bool = False) -> WorkerDiedError:
    """Return the error for a worker process that ended in the middle of its work.

    Args:
        found: what is known of its end, None where it still has not ended.
        where: what it was at.
        at_start: whether it had not said a word yet.
    """
    if found is not None and found.exit_code < 0:
        fix = _SIGNAL
        if found.out_of_memory:
            fix = _MEMORY
        elif found.exit_code == -signal.SIGKILL:
            fix = f"if memory ran out, {_MEMORY}"
        elif found.is_crash:
            fix = _CRASH
        return WorkerDiedError(f"the worker process {found.reason}", where=where, fix=fix)
    ended = "closed its connection" if found is None else found.reason
    return WorkerDiedError(
        f"the worker process {ended}",
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
