"""Which micro-batches each replica works on."""

from __future__ import annotations


def share_of(micro_batches: int, replica: int, replicas: int) -> range:
    """Return the numbers of the micro-batches that a replica works on."""
    share = micro_batches // replicas
    return range(replica * share, (replica + 1) * share)
