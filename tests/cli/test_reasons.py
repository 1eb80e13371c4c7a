from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gristmill.cli.reasons import brief, split_reasons


@pytest.mark.parametrize(
    ("why", "shown"),
    [
        ("first run", "first run"),
        ("a changed, b changed", "a changed, b changed"),
        ("a changed, b changed, c changed, d changed", "a changed, b changed and 2 more"),
        ("package gristmill 0.1.0+source.abc -> 0.1.0+source.def", "package gristmill changed"),
        ("package numpy 2.0.1 -> 2.1.0", "package numpy 2.0.1 -> 2.1.0"),
        ("setting rows: [1, 2] -> [1, 3], input a changed, input b changed",
         "setting rows: [1, 2] -> [1, 3], input a changed and 1 more"),
        ("setting name: 'a, b' -> 'c'", "setting name: 'a, b' -> 'c'"),
        ("setting file: PosixPath('/x/a.csv') -> PosixPath('/x/a.csv')", "a.csv changed"),
        ("setting file: PosixPath('a.csv') -> PosixPath('b.csv')",
         "setting file: PosixPath('a.csv') -> PosixPath('b.csv')"),
    ],
)  # fmt: skip
def test_brief(why, shown):
    assert brief(why) == shown


@given(st.lists(st.from_regex(r"[a-z]+ changed|setting [a-z]+: \[1, 2\] -> '[a-z, ]*'",
                              fullmatch=True), min_size=1))  # fmt: skip
def test_reasons_are_split_where_they_were_joined(reasons):
    assert split_reasons(", ".join(reasons)) == reasons
