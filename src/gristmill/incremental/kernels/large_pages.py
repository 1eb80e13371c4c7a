"""Memory for what is read from end to end again and again: on large pages, where there are any.

Weights of tens of megabytes do not stay in the cache from frame to frame. On ordinary pages of
4 KB, looking up where the next one lies holds up reading them ahead.
"""

from __future__ import annotations

import ctypes
import mmap

import torch
from torch import Tensor

_PAGE = 1 << 21
"""Bytes of a large page of most processors; where pages are larger, nothing is gained or lost."""


def on_large_pages(values: Tensor) -> Tensor:
    """Copy numbers to large pages.

    Args:
        values: float32 [count].

    Returns:
        The same numbers; `values` itself where that saves less than a page, or cannot be had.
    """
    count = len(values)
    if 4 * count < _PAGE or not hasattr(mmap, "MADV_HUGEPAGE"):
        return values
    # Room to begin on a page's edge; pages that are not written to are no memory.
    memory = mmap.mmap(-1, 4 * count + _PAGE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    try:
        memory.madvise(mmap.MADV_HUGEPAGE)
    except OSError:  # the kernel was built without
        return values
    address = ctypes.addressof(ctypes.c_char.from_buffer(memory))
    found = torch.frombuffer(memory, dtype=torch.float32, count=count, offset=-address % _PAGE)
    return found.copy_(values)
