"""What a terminal shows of a question."""

from __future__ import annotations

import textwrap
import unicodedata
from collections.abc import Iterator, Mapping

from gristmill.label.review.session import Question, Session

_CLASSES_SHOWN = 5
_LINES_OF_A_FIELD = 24
_BAR = 20

HELP = """\
one key for each class, shown below each row
  s  skip: you are not sure (this is kept, but is no label)
  u  undo: take your last answer back and see that row again
  n  note: add a remark to your next answer
  /  type the name of a class, or the beginning of it
  q  quit; what you answered is saved already
  ?  this help"""


def screen(session: Session, question: Question, keys: Mapping[str, str], width: int = 80) -> str:
    """Return a question as text, in lines of at most `width` columns."""
    lines = [
        f"[{session.position + 1} of {len(session)}]  row {printable(str(question.row_id))}",
        "",
        *_fields(question.fields, width),
    ]
    if question.votes or question.probs:
        lines += ["", *_votes(question, width), *_probs(question, width)]
    if question.why:
        lines += ["", *_wrapped(f"asked because: {question.why}", width)]
    lines += ["", *_wrapped(_choices(keys, session), width)]
    return "\n".join(line.rstrip() for line in lines)


def summary(session: Session) -> str:
    """Say in a line or two how a session went."""
    parts = [f"{session.answered} answered"]
    if session.skipped:
        parts.append(f"{session.skipped} skipped")
    left = len(session) - session.position
    if left:
        parts.append(f"{left} left")
    there = f"; answers of {session.annotator} are in {session.file.path}"
    lines = [", ".join(parts) + (there if session.answered or session.skipped else "")]
    if session.suggestions:
        lines.append(
            f"the labels said the same on {session.agreed} of {session.suggestions} rows "
            "(some were picked because they are hard)"
        )
    return "\n".join(lines)


def printable(text: str) -> str:
    """Return text that cannot move the cursor or change colours: control characters are shown."""
    return "".join(
        char
        if char in "\n\t" or not unicodedata.category(char).startswith("C")
        else "\N{REPLACEMENT CHARACTER}"
        for char in text
    ).expandtabs(4)


def _fields(fields: Mapping[str, str], width: int) -> Iterator[str]:
    for name, value in fields.items():
        text = printable(value)
        label = f"{printable(name)}: " if len(fields) > 1 else ""
        lines = [
            line
            for place, paragraph in enumerate(text.splitlines() or [""])
            for line in _wrapped((label if place == 0 else "") + paragraph, width, "  ")
        ]
        yield from lines[:_LINES_OF_A_FIELD]
        if len(lines) > _LINES_OF_A_FIELD:
            yield f"  ... {len(lines) - _LINES_OF_A_FIELD} more lines"


def _votes(question: Question, width: int) -> Iterator[str]:
    if not question.votes:
        yield "no source votes on this row"
        return
    longest = min(max(_columns(name) for name, _ in question.votes), width // 2)
    for name, said in question.votes:
        yield _cut(f"  {_cut(printable(name), longest)}  {printable(said)}", width)


def _probs(question: Question, width: int) -> Iterator[str]:
    shown = list(question.probs.items())[:_CLASSES_SHOWN]
    if shown:
        yield ""
    longest = min(max((_columns(name) for name, _ in shown), default=0), width // 2)
    for name, prob in shown:
        bar = "#" * round(prob * _BAR)
        yield _cut(f"  {_cut(printable(name), longest)}  {prob:.2f} {bar}", width)


def _choices(keys: Mapping[str, str], session: Session) -> str:
    shown = [f"{key} {printable(name)}" for key, name in keys.items()]
    shown += ["/ another class"] if len(keys) < len(session.classes) else []
    return "   ".join([*shown, "s skip", "u undo", "n note", "q quit", "? help"])


def _wrapped(text: str, width: int, hang: str = "") -> list[str]:
    if _columns(text) == len(text):
        return textwrap.wrap(text, width, subsequent_indent=hang) or [""]
    return _wrapped_wide(text, width, hang)


def _wrapped_wide(text: str, width: int, hang: str) -> list[str]:
    """Wrap text with characters of two columns or none, which may break anywhere."""
    lines, line = [], ""
    for char in text:
        if _columns(line + char) > width:
            head, space, tail = line.rpartition(" ")
            keep = bool(space) and len(tail) < width // 2 and char != " "
            lines.append(head if keep else line)
            line = hang + (tail if keep else "")
        line += char
    return [*lines, line]


def _columns(text: str) -> int:
    return sum(
        0 if unicodedata.combining(char) else 2 if unicodedata.east_asian_width(char) in "WF" else 1
        for char in text
    )


def _cut(text: str, width: int) -> str:
    """Return text of exactly `width` columns at most, padded if it is shorter."""
    columns = _columns(text)
    if columns <= width:
        return text + " " * (width - columns)
    kept = ""
    for char in text:
        if _columns(kept + char) > width - 1:
            break
        kept += char
    return kept + "…"
