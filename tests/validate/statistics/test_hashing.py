from __future__ import annotations

import datetime as dt
import math
from unittest import mock

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gristmill.validate.statistics.hashing import hash_cells, hash_few, hash_rows, hash_texts


def test_equal_numbers_hash_equal_whatever_their_type() -> None:
    kinds = [pl.Int8, pl.Int64, pl.UInt64, pl.Float32, pl.Float64]
    hashes = {hash_cells(pl.Series([3], dtype=kind)).item() for kind in kinds}
    assert len(hashes) == 1
    assert hash_cells(pl.Series([-0.0])) == hash_cells(pl.Series([0.0]))


def test_neighbours_beyond_the_floats_differ() -> None:
    cells = [2**53 + 1, 2**53 + 2, 2**53 + 3, -(2**60), 1 - 2**60, 2**63 - 1, -(2**63)]
    assert len(set(hash_cells(pl.Series(cells)).tolist())) == len(cells)
    large = pl.Series([2**63, 2**63 + 1, 2**64 - 1, 2**64 - 2**60], dtype=pl.UInt64)
    together = [*hash_cells(large).tolist(), *hash_cells(pl.Series(cells)).tolist()]
    assert len(set(together)) == len(large) + len(cells)
    assert hash_cells(pl.Series([2**60])) == hash_cells(pl.Series([2.0**60]))


def test_hashes_are_the_same_in_every_version() -> None:
    assert hash_cells(pl.Series(["a", "", None])).tolist() == [
        3968802495524182446,
        3746585686858627171,
        0,
    ]
    assert hash_cells(pl.Series([3, 2**53 + 1])).tolist() == [
        6732024472757944893,
        12777306751133822062,
    ]
    frame = pl.DataFrame({"a": [1, None], "b": ["x", "y"]})
    assert hash_rows(frame).tolist() == [13821358872939496867, 9867011899090989997]


def test_missing_cells_hash_as_if_their_column_were_not_there() -> None:
    frame = pl.DataFrame({"a": [1, 2], "b": [None, None]}, schema={"a": pl.Int64, "b": pl.Float64})
    assert hash_rows(frame).tolist() == hash_rows(frame.select("a")).tolist()
    other = pl.DataFrame({"a": [None, 1.0], "b": [1.0, None]})
    assert len(set(hash_rows(other).tolist())) == 2
    nan = pl.DataFrame({"a": [math.nan, None]})
    assert len(set(hash_rows(nan).tolist())) == 2


@given(st.lists(st.text(max_size=20), max_size=30))
@settings(max_examples=150, deadline=None)
def test_a_text_hashes_the_same_whatever_lies_around_it(texts: list[str]) -> None:
    together = hash_texts(pl.Series(texts, dtype=pl.String)).tolist()
    alone = [hash_texts(pl.Series([text])).item() for text in texts]
    assert together == alone == hash_few([text.encode() for text in texts]).tolist()
    assert len(set(together)) == len(set(texts))


def _mixed(word: int) -> int:
    """SplitMix64's finaliser, as it is printed."""
    word = (word ^ word >> 30) * 0xBF58476D1CE4E5B9 % 2**64
    word = (word ^ word >> 27) * 0x94D049BB133111EB % 2**64
    return word ^ word >> 31


def _hashed(text: bytes) -> int:
    """The hash of a text as it is described: a sum over its words of eight bytes."""
    odd = 0x9E3779B97F4A7C15
    words = [int.from_bytes(text[start : start + 8], "little") for start in range(0, len(text), 8)]
    total = _mixed((len(text) + odd) % 2**64)
    total += sum(_mixed((word + odd * place) % 2**64) for place, word in enumerate(words, 1))
    return _mixed(total % 2**64)


@given(
    st.lists(st.text(max_size=8) | st.text("ab\0é漢", max_size=60), max_size=40),
    st.sampled_from([1, 30, 200, 1 << 18]),
)
@settings(max_examples=150, deadline=None)
def test_texts_hash_as_described_wherever_they_are_cut_into_blocks(
    texts: list[str], block: int
) -> None:
    expected = [_hashed(text.encode()) for text in texts]
    with mock.patch("gristmill.validate.statistics.hashing._BLOCK_BYTES", block):
        assert hash_texts(pl.Series(texts, dtype=pl.String)).tolist() == expected
    assert hash_few([text.encode() for text in texts]).tolist() == expected


def test_long_texts_hash_and_differ_in_their_last_letter() -> None:
    texts = [("a" * n) + last for n in (7, 8, 15, 511, 512, 5000) for last in "bc"]
    assert len(set(hash_texts(pl.Series(texts)).tolist())) == len(texts)
    assert hash_few([text.encode() for text in texts]).tolist() == (
        hash_texts(pl.Series(texts)).tolist()
    )


def test_small_numbers_in_many_columns_do_not_collide() -> None:
    """All rows of a grid of small ints, and of small floats, differ: 2**17 rows, 2**33 pairs."""
    grid = np.indices((32, 64, 64)).reshape(3, -1)
    for scale in (1, 0.25):
        frame = pl.DataFrame({name: grid[i] * scale for i, name in enumerate("abc")})
        assert len(np.unique(hash_rows(frame))) == grid.shape[1]


def test_each_bit_of_a_row_hash_is_set_in_half_of_the_rows() -> None:
    words = hash_rows(pl.DataFrame({"a": np.arange(20_000), "b": np.zeros(20_000)}))
    shares = [np.mean((words >> np.uint64(bit)) & np.uint64(1)) for bit in range(64)]
    assert min(shares) > 0.48
    assert max(shares) < 0.52


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
