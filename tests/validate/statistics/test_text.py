from __future__ import annotations

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gristmill.validate.statistics.text import character_classes, is_broken, lengths


@pytest.mark.parametrize(
    ("text", "classes"),
    [
        ("ABC-1234", "A{3}-9{4}"),
        ("Éa 7", "Aa 9"),
        ("a\\{b}}", "a\\\\\\{a\\}{2}"),
        ("", ""),
        ("漢漢", "漢{2}"),
        ("a1" * 7, None),
        ("x" * 41, None),
        (None, None),
    ],
)
def test_texts_are_spelled_as_runs_of_classes(text: str | None, classes: str | None) -> None:
    assert character_classes(pl.Series([text, "other"], dtype=pl.String))[0] == classes


def _unrolled(classes: str) -> str:
    """Read runs back, one character at a time."""
    found, i = "", 0
    while i < len(classes):
        unit = classes[i + 1] if classes[i] == "\\" else classes[i]
        i += 2 if classes[i] == "\\" else 1
        times = 1
        if classes[i : i + 1] == "{":
            end = classes.index("}", i)
            times, i = int(classes[i + 1 : end]), end + 1
        found += unit * times
    return found


@given(st.text("aB9-{}\\é", max_size=12))
@settings(max_examples=100, deadline=None)
def test_runs_unroll_to_one_class_per_character(text: str) -> None:
    (classes,) = character_classes(pl.Series([text]))
    expected = "".join(
        "9" if c.isdigit() else "A" if c.isupper() else "a" if c.islower() else c for c in text
    )
    assert classes is not None
    assert _unrolled(classes) == expected


def test_broken_encoding_is_seen() -> None:
    column = pl.Series(["cafÃ©", "café", "\ufffd", None, ""])
    assert is_broken(column).to_list() == [True, False, True, False, False]
    assert lengths(column).to_list() == [5, 4, 1, None, 0]
