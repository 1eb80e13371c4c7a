"""Which micro-batches a replica has."""

from __future__ import annotations

from gristmill.train.jobs.shares import share_of


def test_replicas_share_consecutive_micro_batches():
    assert [list(share_of(6, replica, 3)) for replica in range(3)] == [[0, 1], [2, 3], [4, 5]]
    assert list(share_of(4, 0, 1)) == [0, 1, 2, 3]
