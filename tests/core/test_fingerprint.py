from __future__ import annotations

import datetime as dt
import hashlib
import re
import subprocess
import sys
from dataclasses import dataclass
from decimal import Decimal
from enum import Enum
from pathlib import PurePosixPath

import msgspec
import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gristmill.core.fingerprint import fingerprint, fingerprint_bytes, fingerprint_file


class Colour(Enum):
    RED = 1


class Shade(Enum):
    RED = 1


@dataclass
class Point:
    x: int
    y: int


class Pair(msgspec.Struct):
    x: int
    y: int


class Own:
    def __fingerprint__(self):
        return "mine"


DIFFERENT = [
    None, True, 1, 1.0, "1", b"1", Decimal(1), 0, False, "", [], {}, set(), "None",
    ["ab"], ["a", "b"], [["a"], "b"], [["a", "b"]], {"a": "b"}, {"a": 1}, {"b": 1}, {"a", "b"},
    Colour.RED, Shade.RED, Point(1, 2), Point(2, 1), Pair(1, 2), Own(),
    dt.date(2024, 1, 2), dt.datetime(2024, 1, 2), dt.datetime(2024, 1, 2, tzinfo=dt.UTC),
    dt.timedelta(days=1), dt.time(1), PurePosixPath("a"), re.compile("a"), re.compile("a", re.I),
    np.array([1, 2]), np.array([1, 2], np.int32), np.array([[1, 2]]), np.array([1.0, 2.0]),
    np.array(["a"], object),
    pl.DataFrame({"a": [1, 2]}), pl.DataFrame({"a": [2, 1]}), pl.DataFrame({"b": [1, 2]}),
    pl.DataFrame({"a": [1, 2], "b": [3, 4]}), pl.DataFrame({"a": [3, 4], "b": [1, 2]}),
    pl.DataFrame({"a": ["1", "2"]}), pl.DataFrame({"a": [1, None]}), pl.DataFrame({"a": [1]}),
    pl.DataFrame({"a": [[1], [2, 3]]}), pl.DataFrame({"a": [[1, 2], [3]]}),
    pl.DataFrame({"a": [""]}), pl.DataFrame({"a": [None]}, schema={"a": pl.String}),
    pl.col("a"), pl.col("a") + 1, pl.Int64, pl.Int32, pl.List(pl.Int64),
]  # fmt: skip


def test_different_values_have_different_fingerprints():
    prints = [fingerprint(value) for value in DIFFERENT]
    assert len(set(prints)) == len(prints)
    assert all(re.fullmatch("[0-9a-f]{32}", text) for text in prints)


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text()
    | st.binary(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


def exact(value):
    """A value with its types, so that 1, 1.0 and True differ."""
    if isinstance(value, list):
        return [exact(item) for item in value]
    if isinstance(value, dict):
        return {key: exact(item) for key, item in value.items()}
    return type(value), repr(value)


@given(VALUES, VALUES)
def test_equal_exactly_when_the_values_are(one, other):
    assert (fingerprint(one) == fingerprint(other)) == (exact(one) == exact(other))


@given(st.permutations(["a", "b", "c", "d"]))
def test_mappings_and_sets_have_no_order(order):
    assert fingerprint(dict.fromkeys(order, 1)) == fingerprint(dict.fromkeys("abcd", 1))
    assert fingerprint(set(order)) == fingerprint(frozenset("abcd"))


def test_layout_in_memory_does_not_matter():
    array = np.arange(12).reshape(3, 4)
    assert fingerprint(array.T) == fingerprint(np.ascontiguousarray(array.T))
    frame = pl.DataFrame({"a": range(10), "b": ["x", "y"] * 5})
    assert fingerprint(frame) == fingerprint(pl.concat([frame[:3], frame[3:]], rechunk=False))
    assert fingerprint(frame["a"]) == fingerprint(frame.select("a"))


def test_stable_across_processes():
    code = (
        "import polars as pl; from gristmill.core.fingerprint import fingerprint as f;"
        "print(f({'x', 'y'}), f(pl.DataFrame({'a': ['x', None], 'b': [1.5, 2]})))"
    )
    done = {
        subprocess.run(
            [sys.executable, "-c", code],
            capture_output=True,
            text=True,
            check=True,
            env={"PYTHONHASHSEED": seed, "POLARS_MAX_THREADS": seed},
        ).stdout
        for seed in ("1", "2")
    }
    assert len(done) == 1


def test_the_encoding_is_fixed_for_good():
    encoded = b"seq:7:" + b"int:1:1"
    assert fingerprint([1]) == hashlib.sha256(encoded).hexdigest()[:32]


@pytest.mark.parametrize("value", [object(), [object()], {"a": print}, pl.LazyFrame({"a": [1]})])
def test_kinds_without_a_fingerprint(value):
    with pytest.raises(TypeError, match="no stable fingerprint for a value of type"):
        fingerprint(value)


def test_python_objects_in_a_frame():
    with pytest.raises(TypeError, match="no stable fingerprint for a column of Python objects"):
        fingerprint(pl.DataFrame({"a": pl.Series([object()], dtype=pl.Object)}))


@given(st.binary(max_size=100))
def test_file_and_bytes_agree(tmp_path_factory, data):
    path = tmp_path_factory.mktemp("f") / "x"
    path.write_bytes(data)
    assert fingerprint_file(path) == fingerprint_bytes(data)


def test_a_file_larger_than_a_block(tmp_path):
    path = tmp_path / "x"
    path.write_bytes(b"ab" * (1 << 20))
    assert fingerprint_file(path) == fingerprint_bytes(path.read_bytes())
