from __future__ import annotations

import tomllib
from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from gristmill.validate.schemas.commented_list import with_values
from gristmill.validate.schemas.toml_parts import comments_in
from gristmill.validate.schemas.toml_values import format_value

TEXT = """[  # all
    # the first
    "a # b",  # behind a
    "b", "c",  # behind c
    # the last
    1.5  # no comma
    # the end
]"""
OLD: list[object] = ["a # b", "b", "c", 1.5]


def test_values_keep_the_comments_above_and_behind_them() -> None:
    new = ["0", "a # b", "c", 1.5, "z"]
    assert with_values(TEXT, OLD, new).splitlines() == [
        "[",
        '    "0",',
        "    # all",
        "    # the first",
        '    "a # b",  # behind a',
        '    "c",  # behind c',
        "    # the last",
        "    1.5,  # no comma",
        '    "z",',
        "    # the end",
        "]",
    ]


def test_comments_of_values_that_go_come_last() -> None:
    assert with_values(TEXT, OLD, ["b"]).splitlines() == [
        "[",
        '    "b",',
        "    # all",
        "    # the first",
        "    # behind a",
        "    # behind c",
        "    # the last",
        "    # no comma",
        "    # the end",
        "]",
    ]


_VALUES = st.lists(st.text(max_size=4) | st.integers(), max_size=6, unique=True)


@given(_VALUES, _VALUES, st.lists(st.sampled_from(["", "  # x", "\n    # y", "\n\n"]), min_size=7))
def test_no_comment_is_lost_and_the_values_are_the_new_ones(
    old: list[object], new: list[object], between: list[str]
) -> None:
    pieces = [f"{format_value(item)},{note}\n" for item, note in zip(old, between, strict=False)]
    text = f"[{between[-1]}\n{''.join(pieces)}]"
    changed = with_values(text, old, new)
    assert tomllib.loads(f"a = {changed}") == {"a": new}
    assert Counter(comments_in(changed)) == Counter(comments_in(text))
