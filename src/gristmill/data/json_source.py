"""One JSON Lines file as a source of a stream."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path

import msgspec
import polars as pl

from gristmill.data.column_kinds import decided_kind, dtype_of, fitted
from gristmill.data.json_lines import decoded_line
from gristmill.data.read_log import ReadLog
from gristmill.data.text_blocks import BLOCK_BYTES, TextBlocks

_NEARLY_ALL = 0.95
_BIG = 2**63
Row = dict[str, object]


class JsonSource:
    """A JSON Lines file. It is read once ahead, for keys that come late and the columns' shapes.

    A line whose value in some column has another shape (value, list or object) than most of the
    column's values in the first part that has any is set aside.
    """

    def __init__(self, path: Path, block_bytes: int = BLOCK_BYTES) -> None:
        self._path, self._block_bytes = path, block_bytes
        self.where = path.name
        self._kinds: dict[str, str] = {}
        self._shapes: dict[str, str] = {}
        for rows in self._rows(ReadLog()):
            self._learn([row for _, _, row in rows])
        self.columns = list(self._kinds)

    def kinds(self) -> dict[str, str]:
        """Return the kind of each column with values, from the first block that has some."""
        return {name: kind for name, kind in self._kinds.items() if kind}

    def frames(self, kinds: Mapping[str, str], log: ReadLog) -> Iterator[pl.DataFrame]:
        """Yield the good rows, with columns of their kind where all cells of a block fit."""
        for rows in self._rows(log):
            good = []
            for line, text, row in rows:
                if problem := self._misshapen(row):
                    log.reject(line, text, problem)
                else:
                    good.append(row)
            if good:
                yield pl.DataFrame([self._column(good, name, kinds[name]) for name in self.columns])

    def _rows(self, log: ReadLog) -> Iterator[list[tuple[int, bytes, Row]]]:
        """Yield (line, text, object) of the lines of each block; others go to the log."""
        for block in TextBlocks(self._path, log, self._block_bytes):
            found, blank = [], 0
            lines = block.data.split(b"\n")
            if lines and not lines[-1]:
                lines.pop()
            for number, text in enumerate(lines, start=block.line):
                if not text.strip():
                    blank += 1
                    continue
                value = decoded_line(text)
                if isinstance(value, dict):
                    found.append((number, text, value))
                else:
                    cut = block.last and number == block.line + len(lines) - 1
                    if cut and not block.data.endswith(b"\n") and text.lstrip()[:1] == b"{":
                        log.note("cut_short", "the last line is cut in the middle", line=number)
                    log.reject(number, text, value)
            if blank:
                log.note("blank_lines", "blank lines are left out", blank, block.line)
            if found:
                yield found

    def _learn(self, rows: list[Row]) -> None:
        for name in dict.fromkeys(name for row in rows for name in row):
            if self._kinds.get(name):
                continue
            values = [value for row in rows if (value := row.get(name)) is not None]
            self._kinds[name] = ""
            if values:
                shape = Counter(map(_shape, values)).most_common(1)[0][0]
                self._shapes[name] = shape
                self._kinds[name] = _kind([value for value in values if _shape(value) == shape])

    def _misshapen(self, row: Row) -> str:
        for name, value in row.items():
            if value is not None and _shape(value) != (expected := self._shapes[name]):
                return f"column {name!r}: expected {expected} as on most lines, " + (
                    f"found {_shape(value)}"
                )
        return ""

    def _column(self, rows: list[Row], name: str, kind: str) -> pl.Series:
        values = [row.get(name) for row in rows]
        if self._shapes.get(name, "a value") != "a value":
            return _nested(name, values)
        types = {type(value) for value in values} - {type(None)}
        if types <= {int} and kind == "int" and _fits_int64(values):
            return pl.Series(name, values, dtype=pl.Int64)
        if types <= {float, int} and kind == "float" and _exact(values):
            return pl.Series(name, values, dtype=pl.Float64, strict=False)
        if types <= {bool} and kind == "bool":
            return pl.Series(name, values, dtype=pl.Boolean)
        text = pl.Series(name, [_as_text(value) for value in values], dtype=pl.String)
        if (types <= {str} and kind == "time") or (kind == "int" and types <= {int}):
            return fitted(text, kind)
        return text if types else text.cast(dtype_of(kind))


def _shape(value: object) -> str:
    if isinstance(value, list):
        return "a list"
    return "an object" if isinstance(value, dict) else "a value"


def _kind(values: list[object]) -> str:
    """Return the kind of at least 95 % of the values, as JSON writes them."""
    types = Counter(type(value) for value in values)
    enough = _NEARLY_ALL * len(values)
    if types[list] or types[dict]:
        return "other"
    if types[int] >= enough:
        return "int"
    if types[int] + types[float] >= enough:
        return "float"
    if types[bool] >= enough:
        return "bool"
    texts = [value for value in values if isinstance(value, str)]
    return "time" if len(texts) >= enough and decided_kind(pl.Series(texts)) == "time" else "string"


def _fits_int64(values: list[object]) -> bool:
    return all(value is None or -_BIG <= value < _BIG for value in values)  # type: ignore[operator]


def _exact(values: list[object]) -> bool:
    """Tell whether floats hold all the whole numbers among the values."""
    return all(not isinstance(value, int) or abs(value) <= 2**53 for value in values)


def _as_text(value: object) -> str | None:
    if value is None or isinstance(value, str):
        return value
    # msgspec writes integers of 64 bits only.
    return str(value) if type(value) is int else msgspec.json.encode(value).decode()


def _nested(name: str, values: list[object]) -> pl.Series:
    """Build a column of lists or objects; as JSON text where they are not of one type."""
    try:
        return pl.Series(name, values, strict=True)
    except (TypeError, ValueError, OverflowError, pl.exceptions.PolarsError):
        texts = [None if value is None else msgspec.json.encode(value).decode() for value in values]
        return pl.Series(name, texts, dtype=pl.String)
