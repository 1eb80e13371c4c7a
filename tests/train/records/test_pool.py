from __future__ import annotations

import os
import signal

import pytest
from tests.processes import open_files

from gristmill.core.errors import UsageError
from gristmill.train.records.pool import Pool


def test_offsets_are_whole_blocks(pool):
    assert [pool.allocate(5000), pool.allocate(1)] == [0, 8192]
    assert (pool.largest_free, pool.free) == (7 * 4096, 7 * 4096)
    pool.release(0)
    assert (pool.largest_free, pool.free) == (7 * 4096, 9 * 4096)
    pool.allocate_at(4096, 4096)
    assert pool.runs()[:3] == [(0, 4096, False), (4096, 4096, True), (8192, 4096, True)]
    assert pool.allocate(8 * 4096) is None


def test_two_mappings_show_the_same_bytes(pool):
    with Pool.attach(pool.fd, pool.nbytes) as other:
        pool.view(4096, 3)[:] = b"abc"
        assert bytes(other.view(4096, 3)) == b"abc"
        other.tensor[4097] = ord("x")
        assert bytes(pool.tensor[4096:4099].numpy()) == b"axc"


def test_a_child_that_is_killed_takes_nothing_along(pool):
    child = os.fork()
    if child == 0:
        pool.memory[0] = 42
        os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(child, 0)
    assert pool.memory[0] == 42


def test_nothing_is_left_open():
    before = open_files()
    with Pool.create(8192) as pool, Pool.attach(pool.fd, 8192) as other:
        kept = other.tensor
        assert kept.numel() == 8192
        del kept
    assert open_files() == before


def test_a_tensor_outlives_its_pool():
    with Pool.create(4096) as pool:
        kept = pool.tensor[:4]
        kept.fill_(7)
    assert kept.tolist() == [7, 7, 7, 7]


@pytest.mark.parametrize("nbytes", [100, 1 << 60])
def test_a_budget_that_cannot_be_is_refused(nbytes):
    with pytest.raises(
        UsageError, match=r"^the memory budget is .*, expected at least 4 KiB and at"
    ):
        Pool.create(nbytes)


def test_a_budget_is_rounded_down():
    with Pool.create(10_000) as pool:
        assert pool.nbytes == 8192
