"""Which rows go into which batch, in which order."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from gristmill.core.seeds import derive_seed

_WINDOW_BATCHES = 16


def epoch_batches(
    lengths: NDArray[np.int64], batch_size: int, seed: int, epoch: int
) -> list[NDArray[np.int64]]:
    """Return the batches of one epoch, each an array of row positions.

    Rows are shuffled; within windows of 16 batches rows of like length are put together, so that
    batches carry little padding; then the batches are shuffled. Every row comes exactly once.

    Args:
        lengths: int64[n], tokens of each row (all equal for fixed-width features).
        batch_size: rows of a batch; the last may have fewer.
        seed: with `epoch`, all that the order depends on.
        epoch: 1 for the first.
    """
    generator = np.random.default_rng(derive_seed(seed, "epoch", epoch))
    order = generator.permutation(len(lengths))
    window = batch_size * _WINDOW_BATCHES
    alike = [_by_length(order[at : at + window], lengths) for at in range(0, len(order), window)]
    rows = np.concatenate(alike)
    batches = [rows[at : at + batch_size] for at in range(0, len(rows), batch_size)]
    return [batches[place] for place in generator.permutation(len(batches))]


def _by_length(rows: NDArray[np.int64], lengths: NDArray[np.int64]) -> NDArray[np.int64]:
    return rows[np.argsort(lengths[rows], kind="stable")]
