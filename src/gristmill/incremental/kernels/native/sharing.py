"""Work in C that several threads share: a call from Python lets the others run."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import TypeVar

T = TypeVar("T")

WORTH = 1 << 23
"""Products that are worth waking another thread for."""


def share(call: Callable[[T], None], parts: Sequence[T]) -> None:
    """Call a function with each part: with the first one here, with the others elsewhere meanwhile.

    Args:
        call: takes a part; calls do not write to the same memory.
        parts: at least one.
    """
    first, *rest = parts
    others = [_pool(os.getpid()).submit(call, part) for part in rest]
    call(first)
    for other in others:
        other.result()


@cache
def _pool(process: int) -> ThreadPoolExecutor:
    """Threads of this process: those of the one it was forked from are not in it."""
    return ThreadPoolExecutor(thread_name_prefix=f"kernels-{process}")
