from __future__ import annotations

import tomllib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gristmill.validate.schemas.toml_values import LINE, format_key, format_value


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (True, "true"),
        (-3, "-3"),
        (0.1, "0.1"),
        (1e-05, "1e-05"),
        (float("-inf"), "-inf"),
        ("a", '"a"'),
        ('a"b', '"a\\"b"'),
        (r"\d+", r"'\d+'"),
        (r"\d'", '"\\\\d\'"'),
        ("a\nb", '"""a\nb"""'),
        ("a\r\nb\x7f", '"a\\r\\nb\\u007f"'),
        ((1, 2), "[1, 2]"),
        ([], "[]"),
        ({"a b": 0.5, "c": ["d"]}, '{ "a b" = 0.5, c = ["d"] }'),
        ({}, "{}"),
    ],
)
def test_values_are_written_as_a_person_would(value: object, text: str) -> None:
    assert format_value(value) == text


def test_lists_that_do_not_fit_their_line_have_a_line_for_each_value() -> None:
    values = ["x" * 20] * 3
    flat = format_value(values, "")
    assert "\n" not in flat
    key = "k" * (LINE - len(flat) - 3)
    assert format_value(values, key) == flat
    line = f'    "{"x" * 20}",\n'
    assert format_value(values, key + "k") == f"[\n{line * 3}]"


def test_keys_that_are_no_words_are_quoted() -> None:
    assert format_key("features", "a.b", "ü", 'c"d', "") == 'features."a.b"."ü"."c\\"d".""'


def test_what_toml_cannot_hold_is_refused() -> None:
    with pytest.raises(ValueError, match="Unable to convert"):
        format_value(object())


_SCALARS = st.text() | st.integers(-(2**63), 2**63) | st.booleans() | st.floats(allow_nan=False)
_TEXTS = st.text(st.sampled_from("a\"'\\\n\r\t#\x00\x7f\u2028"))


@given(
    _SCALARS | _TEXTS | st.lists(_SCALARS | _TEXTS) | st.dictionaries(st.text(), _SCALARS),
    st.text(),
)
def test_whatever_is_written_is_read_back(value: object, key: str) -> None:
    if isinstance(value, dict):
        value = {name: item for name, item in value.items() if "\n" not in f"{item}"}
    assert tomllib.loads(f"{format_key(key)} = {format_value(value, key)}") == {key: value}
