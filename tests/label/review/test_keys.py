from __future__ import annotations

import pytest

from gristmill.label.review.keys import RESERVED, class_keys, named


def test_digits_then_letters_that_mean_nothing_else() -> None:
    keys = class_keys([f"c{number}" for number in range(300)])
    assert list(keys)[:11] == [*"1234567890", "a"]
    assert not set(keys) & set(RESERVED)
    assert len(keys) == 31
    assert class_keys(["ham", "spam"]) == {"1": "ham", "2": "spam"}


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("spam", "spam"),
        (" SP ", "spam"),
        ("h", None),
        ("2", "has"),
        ("4", "0"),
        ("", None),
        ("0", "0"),
        ("9", None),
    ],
)
def test_names(text: str, found: str | None) -> None:
    assert named(text, ["ham", "has", "spam", "0"]) == found
