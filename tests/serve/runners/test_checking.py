"""The compiled check agrees with the one that explains, and lays records out as rows."""

from __future__ import annotations

import json
import math
import pickle

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gristmill.serve.runners.checking import BadRecords, Checker
from gristmill.serve.runners.records import RecordError, check_records
from gristmill.serve.runners.rows import Ragged
from gristmill.store.signature import Field

FIELDS = [
    Field("a text", "string", max_length=3),
    Field("lang", "string", required=False, domain=["de", "en"]),
    Field("n", "int", min=-1.5, max=150),
    Field("m", "int", required=False),
    Field("x", "float", max=1e300),
    Field("known", "bool"),
    Field("pair", "tensor", dtype="float32", shape=[2], min=-3.0),
    Field("ids", "tensor", dtype="int32", shape=[None], max_length=3),
    Field("points", "tensor", dtype="float16", shape=[None, 2]),
    Field("dot", "image", shape=[1, 2, 1]),
]
GOOD = {
    "a text": "abc",
    "n": 3,
    "x": 1,
    "known": True,
    "pair": [1, 0.5],
    "ids": [1, 2],
    "points": [[1, 2]],
    "dot": [[[0], [255]]],
}
numbers = st.one_of(
    st.integers(-5, 300),
    st.sampled_from([2**31, 2**63 - 1, 2**63, -(2**63), 2**70, 0.5, 1e300, 1e39, 7e4, -0.0]),
    st.sampled_from([math.nan, math.inf, True, None, "1", "", "abc", "abcd", "\ud800", "ü", "de"]),
)
values = st.recursive(numbers, lambda inner: st.lists(inner, max_size=3), max_leaves=5)


def explained(fields, instances):
    return check_records(fields, instances)[1]


@settings(deadline=None)
@given(st.lists(st.tuples(st.sampled_from([each.name for each in FIELDS]), values), max_size=3),
       st.integers(1, 3))  # fmt: skip
def test_it_says_what_the_explaining_check_says(changes, count):
    records = [dict(GOOD) for _ in range(count)]
    records[-1] |= dict(changes)
    expected = explained(FIELDS, records)
    checker = Checker(FIELDS)
    if expected:
        with pytest.raises(BadRecords) as caught:
            checker.rows(records)
        assert caught.value.errors == expected
    else:
        assert checker.rows(records).count == count


@pytest.mark.parametrize("field", FIELDS, ids=lambda each: each.name)
@settings(deadline=None, max_examples=60)
@given(value=values)
def test_each_field_by_itself(field, value):
    try:
        Checker([field]).rows([{field.name: value}])
        errors = []
    except BadRecords as bad:
        errors = bad.errors
    assert errors == explained([field], [{field.name: value}])


def test_rows_have_the_columns_of_the_signature():
    rows = Checker(FIELDS).rows([GOOD | {"more": 1}, GOOD | {"lang": "en", "ids": [7]}])
    assert list(rows.columns) == [field.name for field in FIELDS]
    assert (rows["a text"], rows["lang"], rows["m"]) == (["abc", "abc"], [None, "en"], [None, None])
    found = {name: column.dtype for name, column in rows.columns.items()
             if isinstance(column, np.ndarray)}  # fmt: skip
    assert found == {
        "n": np.int64, "x": np.float64, "known": np.bool_, "pair": np.float32, "dot": np.uint8
    }  # fmt: skip
    assert rows["dot"].shape == (2, 1, 2, 1)
    assert isinstance(rows["ids"], Ragged)
    assert (rows["ids"].values.tolist(), rows["ids"].values.dtype) == ([1, 2, 7], np.int32)
    assert rows["points"].values.shape == (2, 2)


def test_no_records():
    rows = Checker(FIELDS).rows([])
    assert rows.count == 0
    assert rows["pair"].shape == (0, 2)
    assert rows["points"].values.shape == (0, 2)


def test_what_is_no_object():
    with pytest.raises(BadRecords, match="record 1: expected an object, found 3"):
        Checker(FIELDS).rows([GOOD, 3])


def test_json_straight_into_records():
    checker = Checker(FIELDS)
    body = json.dumps([GOOD, GOOD]).encode()
    records = msgspec.json.decode(body, type=list[checker.record])
    rows = checker.rows_of(records)
    assert (rows.count, rows["x"].tolist()) == (2, [1.0, 1.0])
    assert checker.rows_of([]).count == 0


def test_half_a_character_is_found_after_decoding():
    checker = Checker([Field("text", "string")])
    with pytest.raises(BadRecords, match="text without lone surrogates"):
        checker.rows_of(msgspec.convert([{"text": "\ud800"}], list[checker.record]))


def test_numbers_that_only_the_slow_path_takes():
    rows = Checker([Field("x", "float")]).rows([{"x": 1e300}])
    assert rows["x"].tolist() == [1e300]


LIMITED = [Field("n", "int", max=5), Field("w", "string", domain=["a"])]


def test_limits_that_only_warn():
    told: list[RecordError] = []
    checker = Checker(LIMITED, "warn", told.extend)
    assert checker.rows([{"n": 5, "w": "a"}]).count == 1
    assert told == []
    rows = checker.rows([{"n": 6, "w": "b"}])
    assert (rows["n"].tolist(), rows["w"]) == ([6], ["b"])
    assert told == [RecordError(0, "n", "at most 5", "6"), RecordError(0, "w", "one of a", "'b'")]
    record = checker.record(f0=7, f1="a")
    assert checker.rows_of([record])["n"].tolist() == [7]
    assert told[2:] == [RecordError(0, "n", "at most 5", "7")]


@pytest.mark.parametrize("mode", ["warn", "off"])
def test_a_value_of_another_type_is_refused_in_every_mode(mode):
    with pytest.raises(BadRecords, match="field 'n': expected an int, found 'x'"):
        Checker(LIMITED, mode).rows([{"n": "x", "w": "b"}])


def test_off_looks_at_no_limit():
    assert Checker(LIMITED, "off").rows([{"n": 9, "w": "b"}])["n"].tolist() == [9]


def test_bad_records_travel():
    bad = BadRecords([RecordError(1, "n", "an int", "'x'")])
    again = pickle.loads(pickle.dumps(bad))
    assert (str(again), again.errors) == (str(bad), bad.errors)
    assert str(bad) == "record 1: field 'n': expected an int, found 'x'"
