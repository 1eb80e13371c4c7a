from __future__ import annotations

import unicodedata
from collections.abc import Callable

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gristmill.label.review.keys import class_keys
from gristmill.label.review.screen import printable, screen, summary
from gristmill.label.review.session import Question, Session

Open = Callable[..., Session]


def columns(line: str) -> int:
    wide = sum(unicodedata.east_asian_width(char) in "WF" for char in line)
    return len(line) + wide - sum(unicodedata.combining(char) > 0 for char in line)


def question(**fields: str) -> Question:
    return Question(1, fields, (("s", "ham"),), {"ham": 0.75, "spam": 0.25}, "ham", "why", "worth")


def test_a_screen(open_session: Open) -> None:
    session = open_session()
    shown = screen(session, question(text="hi mum"), class_keys(session.classes))
    assert shown == (
        "[1 of 3]  row 1\n\nhi mum\n\n  s  ham\n\n"
        "  ham   0.75 ###############\n  spam  0.25 #####\n\nasked because: why\n\n"
        "1 ham   2 spam   s skip   u undo   n note   q quit   ? help"
    )


@settings(deadline=None, max_examples=60, suppress_health_check=list(HealthCheck))
@given(st.text(max_size=300), st.integers(30, 90))
def test_no_line_is_too_long_and_nothing_moves_the_cursor(
    open_session: Open, text: str, width: int
) -> None:
    session = open_session()
    shown = screen(session, question(a=text, b=text * 2), {"1": text[:20], "2": "x"}, width)
    assert all(columns(line) <= width for line in shown.split("\n"))
    assert all(char == "\n" or not unicodedata.category(char).startswith("C") for char in shown)


@pytest.mark.parametrize("text", ["\x1b[31mred", "a\rb", "\u202etxt", "\x00"])
def test_control_characters_are_shown(text: str) -> None:
    assert "\N{REPLACEMENT CHARACTER}" in printable(text)
    assert printable("a\nb") == "a\nb"


def test_a_long_text_is_cut(open_session: Open) -> None:
    session = open_session()
    shown = screen(session, question(text="line\n" * 100), {})
    assert "  ... 76 more lines" in shown
    assert shown.count("line\n") == 24


def test_more_classes_than_keys(open_session: Open) -> None:
    session = open_session()
    assert "/ another class" in screen(session, question(text="x"), {"1": "ham"})


def test_the_summary(open_session: Open) -> None:
    session = open_session()
    session.skip()
    path = session.file.path
    assert summary(session) == f"0 answered, 1 skipped, 2 left; answers of ann are in {path}"
    session.answer("ham")
    assert summary(session).startswith("1 answered, 1 skipped, 1 left; ")
