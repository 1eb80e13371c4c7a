"""Records against a signature: every rule, the exact words, and nothing lost."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gristmill.serve.runners.records import RecordError, check_records
from gristmill.store.bundle import Field

TEXT = Field("text", "string", max_length=5)
LANGUAGE = Field("language", "string", required=False, domain=["de", "en"])
AGE = Field("age", "int", min=0, max=150)
SHARE = Field("share", "float", min=0.0, max=1.0)
KNOWN = Field("known", "bool")


def complaint(field: Field, value: object) -> str | None:
    good, errors = check_records([field], [{field.name: value}])
    assert len(good) + len(errors) == 1
    return str(errors[0]) if errors else None


@pytest.mark.parametrize(
    ("field", "value"),
    [
        (TEXT, "hello"),
        (TEXT, ""),
        (LANGUAGE, "de"),
        (LANGUAGE, None),
        (AGE, 0),
        (AGE, 150),
        (SHARE, 1),
        (SHARE, 0.5),
        (KNOWN, False),
        (Field("n", "int"), -(2**63)),
        (Field("x", "float"), 1e308),
    ],
)
def test_values_that_pass(field: Field, value: object) -> None:
    assert complaint(field, value) is None


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        (TEXT, 7, "field 'text': expected a string, found 7"),
        (TEXT, None, "field 'text': expected a string, found None"),
        (TEXT, ["a"], "field 'text': expected a string, found ['a']"),
        (TEXT, "hello!", "field 'text': expected at most 5 characters, found 'hello!'"),
        (TEXT, "\ud800", "field 'text': expected text without lone surrogates, found '\\ud800'"),
        (LANGUAGE, "fr", "field 'language': expected one of de, en, found 'fr'"),
        (AGE, True, "field 'age': expected an int, found True"),
        (AGE, 1.0, "field 'age': expected an int, found 1.0"),
        (AGE, -1, "field 'age': expected at least 0, found -1"),
        (AGE, 151, "field 'age': expected at most 150, found 151"),
        (SHARE, "0.5", "field 'share': expected a float, found '0.5'"),
        (SHARE, False, "field 'share': expected a float, found False"),
        (SHARE, math.nan, "field 'share': expected a finite number, found nan"),
        (SHARE, 1.5, "field 'share': expected at most 1, found 1.5"),
        (KNOWN, 1, "field 'known': expected a bool, found 1"),
        (
            Field("n", "int"),
            2**63,
            "field 'n': expected a number of at most 64 bits, found 9223372036854775808",
        ),
    ],
)
def test_values_that_do_not(field: Field, value: object, message: str) -> None:
    assert complaint(field, value) == message


def test_a_field_that_is_not_there_and_a_record_that_is_none() -> None:
    good, errors = check_records([TEXT], [{}, "text", None, {"text": "ok", "more": 1}])
    assert good == [{"text": "ok"}]
    assert errors == [
        RecordError(0, "text", "a string", "nothing"),
        RecordError(1, "", "an object", "'text'"),
        RecordError(2, "", "an object", "None"),
    ]
    assert str(errors[1]) == "expected an object, found 'text'"


def test_every_fault_of_a_record_is_told() -> None:
    _, errors = check_records([TEXT, AGE], [{"text": 1, "age": -1}])
    assert [error.field for error in errors] == ["text", "age"]


def test_long_values_are_shortened() -> None:
    found = complaint(Field("text", "string", max_length=10), "x" * 100_000)
    assert found is not None
    assert len(found) < 150


VALUES = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8)


@given(
    records=st.lists(
        st.dictionaries(st.sampled_from(["text", "age", "x"]), VALUES)
        | st.integers()
        | st.lists(VALUES)
    )
)
def test_each_record_is_either_good_or_wrong(records: list[object]) -> None:
    good, errors = check_records([TEXT, AGE], records)
    wrong = {error.index for error in errors}
    assert len(good) == len(records) - len(wrong)
    kept = [record for index, record in enumerate(records) if index not in wrong]
    for clean, record in zip(good, kept, strict=True):
        assert isinstance(record, dict)
        assert clean == {"text": record["text"], "age": record["age"]}
