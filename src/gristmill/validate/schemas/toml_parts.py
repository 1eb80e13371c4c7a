"""A TOML text as the lines that it is written in, which neither `tomllib` nor `tomlkit` tells.

`tomllib` gives no line for a message, and `tomlkit` 0.15 cannot put a key between two others, drops
the comment of a key that it removes, and takes a second to read 2,000 tables. So a text is cut here
into its statements; what a single one says is read, changed and written by those libraries.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass

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
_KEY = re.compile(r"""(?:"(?:\\.|[^"\\])*"|'[^']*'|[^"'=])*""")


@dataclass(frozen=True, slots=True)
class Part:
    """Whole lines of a text: the header of a table, a setting, or one blank or comment line.

    Attributes:
        text: the lines, each with its end.
        path: of the table, or of the key from the document's root; None where nothing is set.
        table: the path of the table that it stands in, or begins.
    """

    text: str
    path: Path | None = None
    table: Path = ()

    @property
    def is_header(self) -> bool:
        """Whether it begins a table."""
        return self.path is not None and self.text.lstrip().startswith("[")

    @property
    def is_setting(self) -> bool:
        """Whether it sets a key."""
        return self.path is not None and not self.is_header

    def is_within(self, path: Path) -> bool:
        """Tell whether this is the table or key at a path, or in it."""
        return self.path is not None and self.path[: len(path)] == path


def parts_of(text: str) -> list[Part]:
    """Split a valid TOML text into its parts; their texts, joined, are the text."""
    parts: list[Part] = []
    table: Path = ()
    for piece in _pieces(text):
        statement = piece.lstrip()
        if not statement or statement.startswith("#"):
            parts.append(Part(piece, table=table))
        elif statement.startswith("["):
            table = _only_path(tomllib.loads(piece))
            parts.append(Part(piece, table, table))
        else:
            parts.append(setting(piece, table))
    return parts


def setting(text: str, table: Path) -> Part:
    """Return the part that sets one key, maybe a dotted one, in a table."""
    key = _KEY.match(text)
    path = _only_path(tomllib.loads(f"{key[0]}= 0")) if key else ()
    return Part(text, (*table, *path), table)


def line_of(text: str, path: Path) -> int | None:
    """Return the line, counted from 1, of a key, of the nearest table around it, or None."""
    places: dict[Path, int] = {}
    line = 1
    for part in parts_of(text):
        if part.path is not None:
            places.setdefault(part.path, line)
        if part.is_setting and "{" in part.text:
            for inner in _paths(tomllib.loads(part.text), part.table):
                places.setdefault(inner, line)
        line += part.text.count("\n")
    return next((places[path[:n]] for n in range(len(path), 0, -1) if path[:n] in places), None)


def tokens_of(text: str) -> list[str]:
    """Cut a piece of TOML into texts, comments, brackets, line ends and what is between them."""
    return _TOKEN.findall(text)


def comments_in(text: str) -> list[str]:
    """Return the comments of a piece of TOML, each with its `#`; a `#` within a text is none."""
    return [token.rstrip() for token in tokens_of(text) if token.startswith("#")]


def _pieces(text: str) -> Iterator[str]:
    """Yield the lines of a text; lines that hold one value together are one piece."""
    piece, depth = "", 0
    for each in tokens_of(text):
        piece += each
        depth += (each in "[{") - (each in "]}")
        if each == "\n" and not depth:
            yield piece
            piece = ""
    if piece:
        yield piece


def _only_path(document: object) -> Path:
    """Follow the only key of each table down to its value."""
    path: list[str] = []
    while document and isinstance(document, dict | list):
        if isinstance(document, list):  # [[tables]] have no place in a schema, but are read
            document = document[0]
            continue
        (name, document), *_ = document.items()
        path.append(name)
    return tuple(path)


def _paths(document: object, before: Path) -> Iterator[Path]:
    if isinstance(document, dict):
        for name, value in document.items():
            yield (*before, name)
            yield from _paths(value, (*before, name))
