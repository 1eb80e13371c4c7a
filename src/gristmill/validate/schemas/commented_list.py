"""A TOML list over many lines whose values change while their comments stay with them.

A `tomlkit` 0.15 array drops the comment behind a value that is deleted, puts a new value between
another and the comment above it, and after a comment on a line of its own forgets the comma.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from gristmill.validate.schemas.toml_parts import tokens_of
from gristmill.validate.schemas.toml_values import format_value

_INDENT = "    "


@dataclass(slots=True)
class _Notes:
    """The comments that stand on lines of their own above a value, and behind it on its line."""

    above: list[str] = field(default_factory=list)
    behind: list[str] = field(default_factory=list)


def with_values(text: str, old: list[object], new: list[object]) -> str:
    """Write a list one value a line, each with its comments; those of lost values come last.

    Args:
        text: the list as it is written, brackets included; its values are plain ones.
        old: what it says.
        new: what it shall say.
    """
    notes, rest = _notes_of(text)
    known = {item: notes[place] for place, item in enumerate(old)}
    lines = ["["]
    for item in new:
        kept = known.pop(item, _Notes())
        lines += [_INDENT + comment for comment in kept.above]
        lines.append("  ".join([f"{_INDENT}{format_value(item)},", *kept.behind]))
    lost = [comment for kept in known.values() for comment in (*kept.above, *kept.behind)]
    return "\n".join([*lines, *(_INDENT + comment for comment in (*lost, *rest)), "]"])


def _notes_of(text: str) -> tuple[list[_Notes], list[str]]:
    """Find the comments of each value, and those after the last."""
    notes: list[_Notes] = []
    above: list[str] = []
    is_line_empty = True
    for piece in tokens_of(text)[1:-1]:
        if piece.startswith("#"):
            (above if is_line_empty else notes[-1].behind).append(piece.rstrip())
        elif piece == "\n":
            is_line_empty = True
        for _ in range(_count(piece)):
            notes.append(_Notes(above))
            above, is_line_empty = [], False
    return notes, above


def _count(piece: str) -> int:
    """How many values a piece of a list holds."""
    if piece[0] in "\"'":
        return 1
    return 0 if piece[0] == "#" else sum(bool(word.strip()) for word in piece.split(","))
