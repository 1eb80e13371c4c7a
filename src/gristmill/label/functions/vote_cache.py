"""Votes kept between runs: a folder for each partition, a file for each run that added columns.

A partition is known by its content. So that rows that stand in a file need not be read to be known,
the cache also notes under what file, and what part of it, that content was found.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray

from gristmill.core.atomic import write_atomic
from gristmill.core.fingerprint import fingerprint

_MAGIC = b"gristmill votes 1\n"
_LENGTH_BYTES = 8
_MOST_FILES = 64


class _Header(msgspec.Struct, frozen=True):
    """What stands before the columns, which follow one another as they are in memory."""

    rows: int
    dtype: str
    functions: list[str]


class VoteCache:
    """A folder of vote columns, by fingerprint of function, classes and partition.

    The columns that a run adds to a partition make one file, so that a run with fifty functions
    waits for the disk once, not fifty times. A file is written whole or not at all, so several
    processes may share a folder. A file that cannot be read is computed anew.
    """

    def __init__(self, folder: Path | str) -> None:
        self.folder = Path(folder)

    def here(self) -> VoteCache:
        """Return the same cache under a name that holds in other processes of this machine."""
        return VoteCache(self.folder.absolute())

    def note(self, mark: str, partition: str) -> None:
        """Note as what a partition is cached whose rows are told by something else, too.

        Args:
            mark: fingerprint of what tells them, such as a file's name and times.
            partition: what `cache_key` returned.
        """
        write_atomic(self._note(mark), partition.encode())

    def noted(self, mark: str) -> str:
        """Return what was noted for a mark; the empty string where nothing was."""
        with contextlib.suppress(OSError, UnicodeDecodeError):
            return self._note(mark).read_text()
        return ""

    def get(self, partition: str, rows: int) -> dict[str, NDArray[np.integer]]:
        """Return all columns known of a partition, by fingerprint of the function.

        Args:
            partition: what `cache_key` returned.
            rows: how many the partition has.

        Returns:
            int8[rows] or int16[rows] each, read-only.
        """
        known: dict[str, NDArray[np.integer]] = {}
        for file in self._files(partition):
            known |= _read(file, rows)
        return known

    def put(self, partition: str, columns: Mapping[str, NDArray[np.integer]]) -> None:
        """Store columns of a partition, integer[rows] of one length and type, by function."""
        if not columns:
            return
        files = self._files(partition)
        if len(files) >= _MOST_FILES:  # after that many edits they become one again
            rows = len(next(iter(columns.values())))
            columns = {**self.get(partition, rows), **columns}
        name = fingerprint(sorted(columns))
        write_atomic(self._folder(partition) / f"{name}.votes", b"".join(_encoded(columns)))
        if len(files) >= _MOST_FILES:
            for file in files:
                if file.stem != name:
                    file.unlink(missing_ok=True)

    def _note(self, mark: str) -> Path:
        return self.folder / "known" / mark[:2] / mark[2:]

    def _folder(self, partition: str) -> Path:
        return self.folder / partition[:2] / partition[2:]

    def _files(self, partition: str) -> list[Path]:
        return sorted(self._folder(partition).glob("*.votes"))


def cache_key(classes: tuple[str, ...], partition: object) -> str:
    """Return the key of a partition's columns: votes for these classes on rows of this content.

    Args:
        classes: their names.
        partition: its rows as a frame, or what stands for them.
    """
    return fingerprint(["votes", classes, content_mark(partition)])


def content_mark(partition: object) -> object:
    """Return what a partition's content is known by.

    A frame is known by 64 bits a row, half of what `fingerprint` takes: with most functions in the
    cache this is the greatest part of the work left, and a row that changes has to keep its hash by
    chance (5e-20) to be taken for the old one.
    """
    import polars as pl

    if not isinstance(partition, pl.DataFrame) or pl.Object in partition.dtypes:
        return partition
    schema = [(name, str(kind)) for name, kind in partition.schema.items()]
    return [schema, fingerprint(partition.hash_rows(seed=3).to_numpy())]


def _encoded(columns: Mapping[str, NDArray[np.integer]]) -> Iterator[bytes]:
    functions = sorted(columns)
    first = columns[functions[0]]
    header = msgspec.json.encode(_Header(len(first), first.dtype.str, functions))
    header += b" " * (
        -(len(_MAGIC) + _LENGTH_BYTES + len(header)) % 2
    )  # int16 begins at even bytes
    yield _MAGIC
    yield len(header).to_bytes(_LENGTH_BYTES, "little")
    yield header
    yield from (columns[function].tobytes() for function in functions)


def _read(file: Path, rows: int) -> dict[str, NDArray[np.integer]]:
    """Return the columns of a file; none of one that is damaged, gone, or of other rows."""
    start = len(_MAGIC) + _LENGTH_BYTES
    with contextlib.suppress(OSError, ValueError, msgspec.DecodeError):
        data = np.memmap(file, np.uint8, mode="r")
        end = start + int.from_bytes(data[len(_MAGIC) : start].tobytes(), "little")
        header = msgspec.json.decode(data[start:end].tobytes(), type=_Header)
        ours = data[: len(_MAGIC)].tobytes() == _MAGIC and header.dtype in ("|i1", "<i2")
        if ours and header.rows == rows:
            body = data[end:].view(header.dtype).reshape(len(header.functions), rows)
            return dict(zip(header.functions, body, strict=True))
    return {}
