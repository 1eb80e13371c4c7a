"""What a server has loaded, kept out of the garbage collector's way."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager

from gristmill.core.processes.interpreter import keep_loaded


@contextmanager
def frozen_heap() -> Iterator[None]:
    """Let the collector pass over all objects that there are now, for the length of the block.

    PyTorch and what it imports are some hundred thousand objects that stay; each full collection
    would look at all of them while requests wait, for a tenth of a second. What is frozen is still
    freed when nothing refers to it: a model that is swapped for another is in no cycle.
    """
    keep_loaded()
    try:
        yield
    finally:
        gc.unfreeze()
