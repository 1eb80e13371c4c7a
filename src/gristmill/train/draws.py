"""Random draws keyed by what they are for, and the torch settings that bits depend on.

Nothing here reads or moves the global random state: it is forked around each block, seeded for the
block alone, and put back.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

import torch

from gristmill.core.seeds import derive_seed

T = TypeVar("T")


@contextmanager
def keyed_draws(seed: int, *keys: int | str, device: str = "cpu") -> Iterator[None]:
    """Seed torch's generators from `(seed, *keys)` within the block, and put them back after it.

    Only the CPU generator and that of `device` are touched. (`torch.manual_seed` would seed every
    device, and `fork_rng` alone would not bring the others back.)
    """
    gpu = torch.device(device) if torch.device(device).type == "cuda" else None
    word = derive_seed(seed, *keys)
    with torch.random.fork_rng(devices=[gpu] if gpu else []):
        torch.default_generator.manual_seed(word)
        if gpu:
            with torch.cuda.device(gpu):
                torch.cuda.manual_seed(word)
        yield


def seeded(factory: Callable[[], T], seed: int) -> T:
    """Call `factory` (which builds a module) so that its random weights depend on `seed` alone."""
    with keyed_draws(seed, "weights"):
        return factory()


@contextmanager
def steady(threads: int, device: str = "cpu") -> Iterator[None]:
    """Run the block on `threads` intra-op threads with deterministic kernels; restore both after.

    A sum split over another number of threads rounds differently, so the thread count is part of
    what a training run is. On the CPU all kernels in use are deterministic; elsewhere torch is
    asked for deterministic ones and warns where it has none.
    """
    threads_before = torch.get_num_threads()
    mode_before = torch.get_deterministic_debug_mode()
    torch.set_num_threads(threads)
    if torch.device(device).type != "cpu":
        torch.use_deterministic_algorithms(True, warn_only=True)
    try:
        yield
    finally:
        torch.set_num_threads(threads_before)
        torch.set_deterministic_debug_mode(mode_before)
