"""How much of a pipeline's time is idle, in closed form, for stages of equal cost."""

from __future__ import annotations

from gristmill.core.errors import UsageError


def bubble_share(devices: int, micro_batches: int, chunks: int = 1) -> float:
    """Return the share of a step in which a device idles, from 0 to 1.

    (K - 1) / (v M + K - 1): of GPipe and 1F1B with v = 1 (Huang et al. 2019, section 2.3), of
    interleaved pipelines with v stages on each device (Narayanan et al. 2021, section 2.2).

    Args:
        devices: K.
        micro_batches: M.
        chunks: v.

    Raises:
        UsageError: one of them is below 1.
    """
    if min(devices, micro_batches, chunks) < 1:
        raise UsageError(
            "expected at least 1 device, micro-batch and chunk, found "
            f"{devices}, {micro_batches} and {chunks}"
        )
    return (devices - 1) / (chunks * micro_batches + devices - 1)


def speed_up(devices: int, micro_batches: int, chunks: int = 1) -> float:
    """Return how many times faster than one device such a pipeline can be at most."""
    return devices * (1 - bubble_share(devices, micro_batches, chunks))
