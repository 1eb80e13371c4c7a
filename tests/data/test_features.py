"""Featurizers as values: what they check, store and read; the ids are tested in `test_ngrams`."""

from __future__ import annotations

import math
import subprocess
import sys

import msgspec
import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gristmill.core.errors import DataError, UsageError
from gristmill.data.features import (
    Columns,
    HashedNgrams,
    featurizer_from_json,
    featurizer_to_json,
)

SPANS = st.none() | st.integers(1, 4).flatmap(
    lambda low: st.integers(low, 6).map(lambda high: (low, high))
)


def test_naming_a_featurizer_loads_neither_numpy_nor_polars() -> None:
    code = (
        "import sys; from gristmill.data.features import HashedNgrams; HashedNgrams();"
        "print([name for name in ('numpy', 'polars', 'torch') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@given(
    words=SPANS,
    chars=SPANS,
    buckets=st.integers(1, 2**31 - 2),
    max_tokens=st.integers(1, 2**24),
    lowercase=st.booleans(),
)
def test_hashed_ngrams_survive_json(
    words: tuple[int, int] | None,
    chars: tuple[int, int] | None,
    buckets: int,
    max_tokens: int,
    lowercase: bool,
) -> None:
    if words is None and chars is None:
        words = (1, 1)
    featurizer = HashedNgrams("message", words, chars, buckets, max_tokens, lowercase)
    assert featurizer_from_json(featurizer_to_json(featurizer)) == featurizer


def test_columns_survive_json() -> None:
    featurizer = Columns(("age", "income"))
    assert featurizer_to_json(featurizer) == (
        b'{\n  "kind": "columns",\n  "names": [\n    "age",\n    "income"\n  ]\n}'
    )
    assert featurizer_from_json(featurizer_to_json(featurizer)) == featurizer


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"{", "not a featurizer: Input data was truncated"),
        (b"\xff\xfe", "not a featurizer: "),
        (b'{"kind": "pickle"}', "not a featurizer: Invalid value 'pickle' - at `$.kind`"),
        (
            b'{"kind": "columns", "names": ["a"], "code": "x"}',
            "not a featurizer: Object contains unknown field `code`",
        ),
        (
            b'{"kind": "hashed_ngrams", "buckets": 0}',
            "not a featurizer: expected buckets within 1..2147483646, found 0",
        ),
        (
            b'{"kind": "hashed_ngrams", "buckets": "9"}',
            "not a featurizer: Expected `int`, got `str` - at `$.buckets`",
        ),
    ],
)
def test_json_that_is_no_featurizer(data: bytes, message: str) -> None:
    with pytest.raises(DataError) as caught:
        featurizer_from_json(data)
    assert str(caught.value).startswith(message)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"words": (0, 1)}, "expected words=(shortest, longest) within 1..16, found (0, 1)"),
        ({"words": (3, 2)}, "expected words=(shortest, longest) within 1..16, found (3, 2)"),
        ({"chars": (2, 17)}, "expected chars=(shortest, longest) within 1..16, found (2, 17)"),
        ({"buckets": 0}, "expected buckets within 1..2147483646, found 0"),
        ({"max_tokens": -1}, "expected max_tokens within 1..16777216, found -1"),
        ({"words": None}, "n-grams of neither words nor chars\n  fix: give words=(1, 2)"),
    ],
)
def test_arguments_that_make_no_sense(arguments: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError) as caught:
        HashedNgrams(**arguments)  # type: ignore[arg-type]
    assert str(caught.value) == message


def test_a_featurizer_cannot_be_changed() -> None:
    with pytest.raises(AttributeError):
        HashedNgrams().buckets = 5  # type: ignore[misc]
    assert msgspec.structs.replace(HashedNgrams(), buckets=5).buckets == 5


def test_apply_reads_the_named_column_and_takes_empty_cells_for_empty_texts() -> None:
    featurizer = HashedNgrams(column="body")
    frame = pl.DataFrame({"text": ["x", "y", "z"], "body": ["win a prize", None, "hello"]})
    expected = featurizer.encode(["win a prize", "", "hello"])
    assert featurizer.columns == ("body",)
    np.testing.assert_array_equal(featurizer.apply(frame), expected)
    categories = frame.with_columns(pl.col("body").cast(pl.Categorical))
    np.testing.assert_array_equal(featurizer.apply(categories), expected)


def test_apply_names_a_column_that_is_missing_or_no_text() -> None:
    frame = pl.DataFrame({"text": [1, 2], "note": ["a", "b"]})
    with pytest.raises(DataError) as missing:
        HashedNgrams(column="body").apply(frame)
    assert str(missing.value) == "expected a column 'body', found text, note"
    with pytest.raises(DataError) as numbers:
        HashedNgrams().apply(frame)
    assert str(numbers.value) == (
        "column 'text': expected text, found Int64\n"
        "  fix: cast the column, or name another: text, note"
    )


def test_columns_give_float32_in_the_order_named() -> None:
    frame = pl.DataFrame({"a": [1, 2], "b": [0.5, -1.5], "c": [True, False]})
    matrix = Columns(("c", "a", "b")).apply(frame)
    assert matrix.dtype == np.float32
    np.testing.assert_array_equal(matrix, [[1, 1, 0.5], [0, 2, -1.5]])


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ([1.0, None], "column 'a', row 1: expected finite numbers, found None (1 such of 2 rows)"),
        (
            [math.nan, math.inf],
            "column 'a', row 0: expected finite numbers, found nan (2 such of 2 rows)",
        ),
        ([1e39, 1.0], "column 'a', row 0: expected finite numbers, found 1e+39 (1 such of 2 rows)"),
        (["1", "2"], "column 'a': expected numbers, found String"),
    ],
)
def test_columns_refuse_what_is_not_a_number(values: list[object], message: str) -> None:
    with pytest.raises(DataError) as caught:
        Columns(("a",)).apply(pl.DataFrame({"a": values}))
    assert str(caught.value) == message


def test_columns_need_names_that_differ() -> None:
    with pytest.raises(UsageError, match="expected one or more different columns, found \\(\\)"):
        Columns(())
    with pytest.raises(UsageError, match="found \\('a', 'a'\\)"):
        Columns(("a", "a"))


def test_folded_digits_make_numbers_of_one_shape_alike() -> None:
    plain, folded = HashedNgrams(), HashedNgrams(fold_digits=True)
    one, two, three = "call 0871 now", "call 0932 now", "call 09325 now"
    assert folded.encode([one]).tolist() == folded.encode([two]).tolist()
    assert folded.encode([one]).tolist() == plain.encode(["call 0000 now"]).tolist()
    assert folded.encode([two]).tolist() != folded.encode([three]).tolist()
    assert plain.encode([one]).tolist() != plain.encode([two]).tolist()
