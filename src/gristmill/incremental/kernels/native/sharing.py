"""Work in C that several threads share: a call from Python lets the others run."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray

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


def share_groups(
    call: Callable[[NDArray[np.int64]], None], groups: NDArray[np.int64], products: int
) -> None:
    """Call a function with all groups, or with some in each thread where there is work for several.

    Args:
        call: takes a part; calls do not write to the same memory.
        groups: int64 [groups, ..].
        products: of all of them.
    """
    threads = torch.get_num_threads()
    share(call, [groups] if threads == 1 or products < WORTH else np.array_split(groups, threads))


def share_range(call: Callable[[slice], None], count: int, products: int) -> None:
    """Call a function with parts of a range, one for each thread where there is work for several.

    Args:
        call: takes a part; calls do not write to the same memory.
        count: length of the range.
        products: of each of its elements.
    """
    threads = torch.get_num_threads() if count * products >= WORTH else 1
    ends = [count * number // threads for number in range(threads + 1)]
    share(call, list(map(slice, ends, ends[1:])))


@cache
def _pool(process: int) -> ThreadPoolExecutor:
    """Threads of this process: those of the one it was forked from are not in it."""
    return ThreadPoolExecutor(thread_name_prefix=f"kernels-{process}")
