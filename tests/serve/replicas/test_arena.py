import mmap
import os
from pathlib import Path

import numpy as np
import pytest

from gristmill.serve.replicas.arena import KEPT_BYTES, Arena


@pytest.fixture
def sides():
    writer = Arena.create()
    reader = Arena(os.dup(writer.fd))
    yield writer, reader
    writer.close()
    reader.close()


@pytest.mark.parametrize("sizes", [[10], [10, 5000, 3], [100_000, 200_000, 1, 3_000_000]])
def test_the_reader_sees_what_was_written(sides, sizes):
    writer, reader = sides
    for number, size in enumerate(sizes):
        writer.room(size)[:] = number + 1
        found = reader.read(size)
        assert len(found) == size
        assert (found == number + 1).all()


def test_it_is_not_mapped_again_for_batches_that_grow_a_little(sides):
    writer, _ = sides
    first = writer.room(100 * mmap.PAGESIZE)
    assert np.shares_memory(first, writer.room(140 * mmap.PAGESIZE))


def test_a_view_outlives_growth(sides):
    writer, reader = sides
    writer.room(10)[:] = 5
    view = reader.read(10)
    writer.room(1 << 20)
    reader.read(1 << 20)
    assert (view == 5).all()


def test_trim_gives_back_what_was_not_needed_since_the_last_time(sides):
    writer, reader = sides
    writer.room(8 * KEPT_BYTES)
    writer.trim()  # it was needed just now
    assert writer.nbytes >= 8 * KEPT_BYTES
    writer.room(10)
    writer.trim()
    assert writer.nbytes == KEPT_BYTES
    writer.room(8 * KEPT_BYTES)[:] = 9
    assert (reader.read(8 * KEPT_BYTES) == 9).all()


def test_small_ones_are_not_trimmed(sides):
    writer, _ = sides
    writer.room(1000)
    before = writer.nbytes
    writer.trim()
    writer.trim()
    assert writer.nbytes == before


def test_closing_twice_is_fine():
    arena = Arena.create()
    arena.close()
    arena.close()
    assert arena.fd == -1


def test_it_has_no_name_in_the_file_system(sides):
    writer, _ = sides
    link = Path(f"/proc/self/fd/{writer.fd}").readlink()
    assert str(link) == "/memfd:gristmill-arena (deleted)"
