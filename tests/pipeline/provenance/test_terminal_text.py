"""What stays to be read of a terminal's output."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gristmill.pipeline.provenance.terminal_text import TerminalText

PIECES = st.sampled_from(
    ["a", "bc", " ", "\n", "\r", "\x1b[1A", "\x1b[2K", "\x1b[K", "\x1b[31m", "é"]
)


def seen(text: str, rows: int = 0, cuts: list[int] | None = None) -> str:
    data = text.encode()
    places = [0, *sorted(cut % (len(data) + 1) for cut in cuts or []), len(data)]
    reader = TerminalText(rows)
    found = [reader.feed(data[one:two]) for one, two in itertools.pairwise(places)]
    return "".join([*found, reader.close()])


def drawn(pieces: list[str]) -> str:
    """The same on a grid of single characters, which never scrolls."""
    grid: list[list[str]] = [[]]
    row = column = 0
    for piece in pieces:
        if piece == "\n":
            row, column = row + 1, 0
            if row == len(grid):
                grid.append([])
        elif piece == "\r":
            column = 0
        elif piece == "\x1b[1A":
            row = max(0, row - 1)
        elif piece == "\x1b[2K":
            grid[row] = []
        elif piece == "\x1b[K":
            del grid[row][column:]
        elif piece != "\x1b[31m":
            for sign in piece:
                grid[row] += [" "] * (column + 1 - len(grid[row]))
                grid[row][column] = sign
                column += 1
    text = "\n".join("".join(line).rstrip() for line in grid).rstrip("\n")
    return f"{text}\n" if text else ""


@given(st.lists(PIECES, max_size=30), st.lists(st.integers(0, 100), max_size=4))
def test_it_is_what_a_screen_shows_however_the_bytes_arrive(pieces, cuts) -> None:
    assert seen("".join(pieces), rows=100, cuts=cuts) == drawn(pieces)


@given(st.text(st.sampled_from("ab é\n"), max_size=60), st.lists(st.integers(0, 100), max_size=4))
def test_plain_text_stays_as_it_is(text, cuts) -> None:
    lines = "\n".join(line.rstrip() for line in text.split("\n"))
    assert seen(text, cuts=cuts).rstrip("\n") == lines.rstrip("\n")


@pytest.mark.parametrize(
    ("printed", "stays"),
    [
        ("1 of 2\r2 of 2\ndone\n", "2 of 2\ndone\n"),
        ("\x1b[1;31mred\x1b[0m\n", "red\n"),
        ("\x1b]8;;http://x\x07link\x1b]8;;\x07\n", "link\n"),
        ("bar 1\nbar 2\n\x1b[2A\x1b[0Jdone\n", "done\n"),
        ("abc\x08\x08XY\n", "aXY\n"),
    ],
)
def test_what_programs_do(printed: str, stays: str) -> None:
    assert seen(printed, rows=50) == stays


def test_lines_are_given_as_soon_as_nothing_can_change_them() -> None:
    plain, terminal = TerminalText(), TerminalText(rows=2)
    assert plain.feed(b"a\nb\nc") == "a\nb\n"
    assert terminal.feed(b"a\nb\nc\nd") == "a\n"
    assert terminal.close() == "b\nc\nd\n"


def test_a_line_without_an_end_is_broken() -> None:
    reader = TerminalText()
    found = "".join(reader.feed(b"x" * 30_000) for _ in range(3)) + reader.close()
    assert found.count("x") == 90_000
    assert found.count("\n") >= 3


def test_bytes_that_are_no_text_do_no_harm() -> None:
    assert TerminalText().feed(b"\xff\n") == "\N{REPLACEMENT CHARACTER}\n"
