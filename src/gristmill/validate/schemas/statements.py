"""Where each table and key of a TOML text stands: for errors with lines, and edits in place."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from typing import Any

Path = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Statement:
    """A table's header, or a key with its value, in the lines [start, end) counted from 0.

    Attributes:
        path: of the table, or of the key from the document's root.
        value: what the key is set to; None for a header.
    """

    path: Path
    start: int
    end: int
    header: bool = False
    value: object = None

    @property
    def table(self) -> Path:
        """The path of the header, or of the table that the key's last part is in."""
        return self.path if self.header else self.path[:-1]


@dataclass(frozen=True, slots=True)
class Comment:
    """A comment with its `#`; `line` counts from 0, `alone` where no value is on the line."""

    line: int
    text: str
    alone: bool


def statements_of(lines: list[str]) -> list[Statement]:
    """Find every statement of a valid TOML document."""
    found: list[Statement] = []
    table: Path = ()
    number = 0
    while number < len(lines):
        line = lines[number].strip()
        if not line or line.startswith("#"):
            number += 1
            continue
        if line.startswith("["):
            table = _header(line)
            found.append(Statement(table, number, number + 1, header=True))
            number += 1
            continue
        statement = _setting(lines, number, table)
        found.append(statement)
        number = statement.end
    return found


def line_of(text: str, path: Path) -> int | None:
    """Return the line, counted from 1, of a key, of the nearest table around it, or None."""
    lines = text.splitlines()
    places: dict[Path, int] = {}
    for statement in statements_of(lines):
        _note(places, statement.path, statement.value, statement.start + 1)
    while path and path not in places:
        path = path[:-1]
    return places.get(path)


def _note(places: dict[Path, int], path: Path, value: object, line: int) -> None:
    places.setdefault(path, line)
    if isinstance(value, dict):
        for name, inner in value.items():
            _note(places, (*path, name), inner, line)


def _header(line: str) -> Path:
    return _descend(tomllib.loads(line))[0]


def _descend(document: object) -> tuple[Path, object]:
    """Follow the only key of each table down to its value."""
    path: list[str] = []
    while isinstance(document, dict) and len(document) == 1:
        (name, document), *_ = document.items()
        path.append(name)
    return tuple(path), document


def _setting(lines: list[str], start: int, table: Path) -> Statement:
    for end in range(start + 1, len(lines) + 1):
        try:
            document = tomllib.loads("\n".join(lines[start:end]))
        except tomllib.TOMLDecodeError:
            continue
        return _statement(document, lines[start], (start, end), table)
    return Statement((*table, lines[start].partition("=")[0].strip()), start, len(lines))


def _statement(
    document: dict[str, object], line: str, span: tuple[int, int], table: Path
) -> Statement:
    path, _ = _descend(tomllib.loads(f"{key_text(line)} = 0"))
    value: Any = document
    for name in path:
        value = value[name]
    return Statement((*table, *path), *span, value=value)


def key_text(line: str) -> str:
    """Return what stands before the `=` of a setting, quoted keys as they are."""
    return line[: _outside_quotes(line, "=")].strip()


def _outside_quotes(line: str, wanted: str) -> int:
    quote = ""
    for place, sign in enumerate(line):
        if quote:
            quote = "" if sign == quote else quote
        elif sign in "\"'":
            quote = sign
        elif sign == wanted:
            return place
    return len(line)


def comments_of(lines: list[str], statement: Statement) -> list[Comment]:
    """Find the comments within the lines of a statement; a `#` inside a text is none."""
    text = "\n".join(lines[statement.start : statement.end])
    found: list[Comment] = []
    place, quote = 0, ""
    while place < len(text):
        if quote:
            step = 2 if text[place] == "\\" and quote[0] == '"' else 1
            if text.startswith(quote, place):
                step, quote = len(quote), ""
            place += step
            continue
        if text[place] in "\"'":
            sign = text[place]
            quote = sign * 3 if text.startswith(sign * 3, place) else sign
            place += len(quote)
        elif text[place] == "#":
            end = text.find("\n", place)
            end = len(text) if end < 0 else end
            before = text[:place].rpartition("\n")[2]
            line = statement.start + text.count("\n", 0, place)
            found.append(Comment(line, text[place:end].rstrip(), not before.strip()))
            place = end
        else:
            place += 1
    return found
