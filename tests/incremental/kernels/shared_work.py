"""C kernels whose work is shared among threads, however little it is."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import torch

from gristmill.incremental.kernels.native import sharing


@contextmanager
def shared_by(threads: int) -> Iterator[None]:
    """Let so many threads share what is computed in the block."""
    before = torch.get_num_threads()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sharing, "WORTH", 1)
        torch.set_num_threads(threads)
        try:
            yield
        finally:
            torch.set_num_threads(before)
