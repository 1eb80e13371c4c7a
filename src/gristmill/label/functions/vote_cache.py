"""Votes kept between runs: one file per labelling function and partition."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gristmill.core.atomic import write_atomic
from gristmill.core.fingerprint import fingerprint


class VoteCache:
    """A folder of vote columns, by fingerprint of function, classes and partition.

    A file is written whole or not at all, so several processes may share a folder. A file that
    cannot be read is computed anew.
    """

    def __init__(self, folder: Path | str) -> None:
        self.folder = Path(folder)

    def get(self, key: str, rows: int) -> NDArray[np.integer] | None:
        """Return the column stored under `key`, int8[rows] or int16[rows], or None."""
        try:
            column = np.load(self._path(key), allow_pickle=False)
        except (OSError, ValueError, EOFError):
            return None
        fits = column.shape == (rows,) and column.dtype in (np.int8, np.int16)
        return column if fits else None

    def put(self, key: str, column: NDArray[np.integer]) -> None:
        """Store a column."""
        file = io.BytesIO()
        np.save(file, column, allow_pickle=False)
        write_atomic(self._path(key), file.getvalue())

    def _path(self, key: str) -> Path:
        return self.folder / key[:2] / f"{key[2:]}.npy"


def cache_key(function: str, classes: tuple[str, ...], partition: str) -> str:
    """Return the key of a column from the fingerprints of what it is made from."""
    return fingerprint(["votes", function, classes, partition])
