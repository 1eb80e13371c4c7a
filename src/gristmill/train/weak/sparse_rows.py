"""Rows of mostly zeros, and the two products that a linear model needs of them."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any, TypeAlias, Union

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gristmill.core.errors import TrainError

Floats: TypeAlias = NDArray[np.float64]
Ints: TypeAlias = NDArray[np.int64]

FeaturesLike: TypeAlias = Union["NDArray[np.int64]", "NDArray[np.floating[Any]]", Any]
"""int64[n, length] ids of n-grams (0 = padding), float[n, width] features, or a SciPy matrix."""


@dataclass(frozen=True, slots=True)
class SparseRows:
    """A matrix float64[n, width] by rows (CSR).

    Attributes:
        starts: int64[n + 1]; row i holds the entries starts[i] to starts[i + 1].
        columns: int64[entries].
        values: float64[entries].
        width: number of columns.
    """

    starts: Ints
    columns: Ints
    values: Floats
    width: int

    def __len__(self) -> int:
        return len(self.starts) - 1

    @classmethod
    def of(cls, features: FeaturesLike) -> SparseRows:
        """Take features of any form, at a scale at which penalties mean the same for all.

        Ids become TF-IDF of norm 1. Numbers are divided by the root mean square norm of the rows,
        which leaves a matrix of rows of norm 1 as it is. Sparse rows are taken as they are.

        Raises:
            TrainError: the features are of no such form, or not finite.
        """
        if isinstance(features, SparseRows):
            return features
        if hasattr(features, "tocsr"):
            return _scaled(_from_scipy(features.tocsr(copy=True)))
        array = np.asarray(features)
        if array.ndim != 2 or array.dtype.kind not in "iufb":
            raise TrainError(
                "expected features of shape [rows, width], ids or numbers, "
                f"found {array.dtype}{list(array.shape)}"
            )
        return _tf_idf(array) if array.dtype == np.int64 else _scaled(_from_dense(array))

    def take(self, rows: Ints) -> SparseRows:
        """Return the rows at some positions."""
        counts = np.diff(self.starts)[rows]
        starts = np.concatenate([[0], np.cumsum(counts)])
        entries = np.repeat(self.starts[rows] - starts[:-1], counts) + np.arange(starts[-1])
        return SparseRows(starts, self.columns[entries], self.values[entries], self.width)

    def transposed(self) -> SparseRows:
        """Return the matrix float64[width, n]."""
        order = np.argsort(self.columns, kind="stable")
        rows = np.repeat(np.arange(len(self)), np.diff(self.starts))
        counts = np.bincount(self.columns, minlength=self.width)
        starts = np.concatenate([[0], np.cumsum(counts)])
        return SparseRows(starts, rows[order], self.values[order], len(self))

    def tensor(self) -> Tensor:
        """Return a torch CSR tensor float64[n, width] of the same entries."""
        # Copies, since torch wants strides of one, which NumPy's views and empty arrays may lack.
        starts, columns, values = (
            torch.from_numpy(each.copy()) for each in (self.starts, self.columns, self.values)
        )
        shape = len(self), self.width
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Sparse CSR tensor support is in beta")
            return torch.sparse_csr_tensor(starts, columns, values, shape, check_invariants=True)


def _from_scipy(matrix: Any) -> SparseRows:
    matrix.sum_duplicates()
    return SparseRows(
        matrix.indptr.astype(np.int64),
        matrix.indices.astype(np.int64),
        matrix.data.astype(np.float64),
        int(matrix.shape[1]),
    )


def _from_dense(array: NDArray[Any]) -> SparseRows:
    rows, columns = np.nonzero(array)
    starts = np.searchsorted(rows, np.arange(len(array) + 1))
    return SparseRows(starts, columns, array[rows, columns].astype(np.float64), array.shape[1])


def _scaled(rows: SparseRows) -> SparseRows:
    if not np.isfinite(rows.values).all():
        raise TrainError("expected features that are finite, found NaN or infinity")
    norm = float(np.sqrt((rows.values**2).sum() / max(len(rows), 1))) or 1.0
    return SparseRows(rows.starts, rows.columns, rows.values / norm, rows.width)


def _tf_idf(ids: Ints) -> SparseRows:
    """Return rows of norm 1: counts times 1 + ln((1 + n) / (1 + rows with the id)).

    An id found in one row only says nothing of other rows and is left out. Columns are numbered
    anew, as most buckets of a hash stay empty.
    """
    if (ids < 0).any():
        raise TrainError(
            f"expected ids of 0 or more, found {int(ids.min())}",
            fix="int64 is taken for ids of n-grams; cast numbers to float",
        )
    rows, places = np.nonzero(ids)
    known, columns = np.unique(ids[rows, places], return_inverse=True)
    cells, counts = np.unique(rows * np.int64(len(known)) + columns, return_counts=True)
    rows, columns = np.divmod(cells, max(len(known), 1))
    holding = np.bincount(columns, minlength=len(known))
    shared = holding[columns] > 1
    rows, counts = rows[shared], counts[shared]
    found, columns = np.unique(columns[shared], return_inverse=True)
    values = counts * (1 + np.log((1 + len(ids)) / (1 + holding[found])))[columns]
    norms = np.sqrt(np.bincount(rows, values**2, minlength=len(ids)))
    starts = np.searchsorted(rows, np.arange(len(ids) + 1))
    return SparseRows(starts, columns, values / norms[rows], len(found))
