"""A TOML text as the parts that it is written in: what `tomllib` and `tomlkit` do not tell."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

Path = tuple[str, ...]

_TOKEN = re.compile(
    r'"""(?:\\.|[^\\])*?"""+|'
    r"'''.*?'''+|"
    r'"(?:\\.|[^"\\\n])*"|'
    r"'[^'\n]*'|"
    r"#[^\n]*|"
    r"[^\"'#\[\]{}\n]+|.",
    re.DOTALL,
)


@dataclass(frozen=True, slots=True)
class Part:
    """Whole lines of a text: a table's header, a setting, or a line that is blank or a comment.

    Attributes:
        text: the lines, each with its end.
        path: of the table, or of the key from the document's root; None where nothing is set.
        header: whether it begins a table.
        inner: paths within the value, where it is an inline table.
    """

    text: str
    path: Path | None = None
    header: bool = False
    inner: tuple[Path, ...] = ()

    def is_within(self, path: Path) -> bool:
        """Tell whether this is the table or key at a path, or in it."""
        return self.path is not None and self.path[: len(path)] == path


def parts_of(text: str) -> list[Part]:
    """Split a valid TOML text into its parts; joined, their texts are the text."""
    parts: list[Part] = []
    table: Path = ()
    for piece in _pieces(text):
        statement = piece.strip()
        if not statement or statement.startswith("#"):
            parts.append(Part(piece))
        elif statement.startswith("["):
            table = _only_path(tomllib.loads(statement))
            parts.append(Part(piece, table, header=True))
        else:
            parts.append(setting(piece, table))
    return parts


def setting(text: str, table: Path) -> Part:
    """Return the part that is one key, maybe dotted, with its value, in a table."""
    document = tomllib.loads(text)
    path = table
    value: Any = document
    while isinstance(value, dict) and len(value) == 1:
        ((name, value),) = value.items()
        path = (*path, name)
    return Part(text, path)


def line_of(text: str, path: Path) -> int | None:
    """Return the line, counted from 1, of a key, of the nearest table around it, or None."""
    places: dict[Path, int] = {}
    line = 1
    for part in parts_of(text):
        for place in (*([part.path] if part.path is not None else []), *part.inner):
            places.setdefault(place, line)
        line += part.text.count("\n")
    return next((places[path[:n]] for n in range(len(path), 0, -1) if path[:n] in places), None)


def comments_in(text: str) -> list[str]:
    """Return the comments of a piece of TOML, each with its `#`; a `#` within a text is none."""
    return [token.rstrip() for token in _TOKEN.findall(text) if token.startswith("#")]


def _pieces(text: str) -> Iterator[str]:
    """Yield the lines of a text; those of one value are one piece."""
