from __future__ import annotations

import datetime as dt

import numpy as np
import polars as pl
import pytest

from gristmill.validate.statistics.hashing import hash_cells, hash_rows


def test_equal_numbers_hash_equal_whatever_their_type() -> None:
    kinds = [pl.Int8, pl.Int64, pl.UInt64, pl.Float32, pl.Float64]
    hashes = {hash_cells(pl.Series([3], dtype=kind)).item() for kind in kinds}
    assert len(hashes) == 1
    assert hash_cells(pl.Series([-0.0])) == hash_cells(pl.Series([0.0]))


def test_neighbours_beyond_the_floats_differ() -> None:
    hashes = hash_cells(pl.Series([2**53 + 1, 2**53 + 2, 2**53 + 3, -(2**60), 1 - 2**60]))
    assert len(set(hashes.tolist())) == 5


def test_hashes_are_the_same_in_every_version() -> None:
    assert hash_cells(pl.Series(["a", "", None])).tolist() == [
        3405396810240292928,
        13020603013274838756,
        11400714819323198485,
    ]
    assert hash_cells(pl.Series([3])).tolist() == [6732024472757944893]


@pytest.mark.parametrize(
    "column",
    [
        pl.Series([True, False, None]),
        pl.Series([dt.date(2024, 1, 1), dt.date(2024, 1, 2), None]),
        pl.Series([b"a", b"b", None]),
        pl.Series([[1], [2], None]),
        pl.Series(["a", "b", None], dtype=pl.Categorical),
    ],
)
def test_every_kind_of_cell_has_a_hash(column: pl.Series) -> None:
    assert len(np.unique(hash_cells(column))) == 3


def test_rows_hash_over_all_columns_in_any_order() -> None:
    frame = pl.DataFrame({"a": [1, 1, 2], "b": ["x", "y", "x"]})
    assert len(np.unique(hash_rows(frame))) == 3
    assert hash_rows(frame.select("b", "a")).tolist() == hash_rows(frame).tolist()
    swapped = pl.DataFrame({"a": [1, 2], "b": [2, 1]})
    assert len(np.unique(hash_rows(swapped))) == 2
