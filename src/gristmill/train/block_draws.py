"""Random draws of one process that trains alone: a generator for a block, keyed by its purpose.

The classifiers of `fit` draw this way: a block is a model that is made, or a batch that is learned,
and its draws follow one another. A model that is run in parts needs a key for each draw (`draws`);
that gives other, equally good, random numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

import torch

from gristmill.core.seeds import derive_seed
from gristmill.train.draws import WEIGHTS

T = TypeVar("T")


@contextmanager
def keyed_block(seed: int, *keys: int | str, device: str = "cpu") -> Iterator[None]:
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


def built(factory: Callable[[], T], seed: int) -> T:
    """Call `factory` (which builds a module) so that its random weights depend on `seed` alone."""
    with keyed_block(seed, WEIGHTS):
        return factory()
