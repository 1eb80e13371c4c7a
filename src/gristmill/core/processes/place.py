"""The place of a process on the machine: its threads and processors, and what it gives way to."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Collection
from contextlib import suppress

THREAD_LIMITS = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
    "NUMEXPR_NUM_THREADS",
    "RAYON_NUM_THREADS",
    "POLARS_MAX_THREADS",
)
"""Environment variables that numeric libraries read their number of threads from."""

_PR_SET_TIMERSLACK = 29
_EXPENDABLE = 500
"""Where memory runs out the kernel shall take what can be replaced, not the process it is for."""


def thread_limits(threads: int) -> dict[str, str]:
    """Return the variables that limit libraries that are loaded afterwards to so many threads."""
    return dict.fromkeys(THREAD_LIMITS, str(threads))


def allowed_processors() -> list[int]:
    """Return the numbers of the logical processors that this process may run on, in order."""
    if hasattr(os, "sched_getaffinity"):
        return sorted(os.sched_getaffinity(0))
    return list(range(os.cpu_count() or 1))


def take_place(*, threads: int = 1, cores: Collection[int] = (), nice: int = 0) -> None:
    """Have this process, just forked, live as was chosen for it; Linux only.

    Its timers are exact (prctl(2)), and it is the first to be killed where memory runs out. What
    the machine does not allow is left as it is.

    Args:
        threads: threads of numeric libraries that are loaded from now on.
        cores: numbers of the cores it may run on; empty: any.
        nice: how much it gives way to other processes.
    """
    os.environ.update(thread_limits(threads))
    ctypes.CDLL(None).prctl(_PR_SET_TIMERSLACK, 1, 0, 0, 0)
    with suppress(OSError), open("/proc/self/oom_score_adj", "w", encoding="ascii") as file:  # noqa: PTH123
        file.write(str(_EXPENDABLE))
    if cores:
        with suppress(OSError):  # a core went offline: run anywhere
            os.sched_setaffinity(0, cores)
    if nice:
        with suppress(OSError):  # less nice than the parent: only root may
            os.nice(nice)
