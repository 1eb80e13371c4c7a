"""Sums of what is written, taken on the way."""

from __future__ import annotations

import errno
import io
import os

import polars as pl
import pytest

from gristmill.serve.offline.stored import Stored
from gristmill.serve.offline.summed_file import SummedFile


class Full(io.BytesIO):
    """A disk without room."""

    def write(self, data: object, /) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_sums_are_those_of_what_lies_in_the_file() -> None:
    frame, file = pl.DataFrame({"a": range(100_000), "b": ["x,y"] * 100_000}), io.BytesIO()
    file.write(b"before")
    summed = SummedFile(file)
    for write in (frame.write_csv, frame.write_ndjson):
        start = file.tell()
        assert summed.sums_of(write) == Stored.of(file.getvalue()[start:])
    assert summed.sums_of(lambda _: None) == Stored.of(b"")


def test_a_full_disk_is_told_in_its_own_words() -> None:
    with pytest.raises(OSError, match="No space left") as told:
        SummedFile(Full()).sums_of(pl.DataFrame({"a": [1]}).write_csv)
    assert told.value.errno == errno.ENOSPC


def test_what_is_no_fault_of_the_disk() -> None:
    with pytest.raises(pl.exceptions.ComputeError, match="nested"):
        SummedFile(io.BytesIO()).sums_of(pl.DataFrame({"a": [[1]]}).write_csv)
