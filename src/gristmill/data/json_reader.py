"""Blocks of JSON Lines to frames, once all keys and the shapes of columns are known."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from operator import attrgetter
from typing import Any

import msgspec
import numpy as np
import polars as pl

from gristmill.data.column_kinds import dtype_of, fitted
from gristmill.data.json_columns import plain_frame
from gristmill.data.json_lines import decoded_line
from gristmill.data.odd_values import odd_values
from gristmill.data.read_log import ReadLog
from gristmill.data.text_blocks import TextBlock

_BIG = 2**63
_FEW_BYTES = 1 << 14
_SHAPES: dict[type, str] = {list: "a list", dict: "an object"}
Row = dict[str, object]
Columns = dict[str, list[object]]
Decode = Callable[[bytes], Sequence[object]]


@dataclass(frozen=True)
class JsonReader:
    """Reads the lines of one file. Small, and can be pickled.

    Attributes:
        columns: all keys.
        judged: columns whose values somebody else judges, by `odd_values`.
        shapes: column -> a value, a list or an object, for columns with values.
    """

    columns: tuple[str, ...]
    judged: tuple[str, ...] = ()
    shapes: Mapping[str, str] = field(default_factory=dict)

    def frame(
        self, block: TextBlock, kinds: Mapping[str, str], log: ReadLog
    ) -> pl.DataFrame | None:
        """Return the good rows, with columns of their kind where all cells of the block fit.

        A line with a value of another shape than its column's is set aside. None without any row.
        """
        if (plain := self._plain_frame(block, kinds)) is not None:
            return plain
        columns = self._columns(block, log)
        if not any(columns.values()):
            return None
        series = [self._column(columns[name], name, kinds[name]) for name in self.columns]
        if self.judged:
            judged = {name: kinds[name] for name in self.judged if name in columns}
            series.append(odd_values(columns, judged))
        return pl.DataFrame(series)

    def _plain_frame(self, block: TextBlock, kinds: Mapping[str, str]) -> pl.DataFrame | None:
        """Return the frame of a block in which nothing is odd, None of others."""
        if any(
            shape != "a value" and name not in self.judged for name, shape in self.shapes.items()
        ):
            return None
        frame = plain_frame(block, self.columns, kinds)
        if frame is None or not self.judged:
            return frame
        return frame.with_columns(odd_values({"": range(frame.height)}, {}))

    def count(self, block: TextBlock, log: ReadLog) -> int:
        """Return how many good rows a block has."""
        return max(map(len, self._columns(block, log).values()), default=0)

    def _columns(self, block: TextBlock, log: ReadLog) -> Columns:
        """Return the values of the good lines; what is bad is searched for by halves."""
        if columns := self._clean_columns(block):
            return columns
        middle = block.data.find(b"\n", len(block.data) // 2) + 1
        if len(block.data) < _FEW_BYTES or not 0 < middle < len(block.data):
            return self._good_columns(block, log)
        data, feeds = block.data[:middle], block.data.count(b"\n", 0, middle)
        first = self._columns(TextBlock(data, block.line, feeds, last=False), log)
        rest = TextBlock(
            block.data[middle:], block.line + feeds, block.feeds - feeds, last=block.last
        )
        for name, values in self._columns(rest, log).items():
            first[name] += values
        return first

    def _clean_columns(self, block: TextBlock) -> Columns:
        """Return the values of a block in which every line is an object of the right shapes."""
        columns = values_at_once(block, self.columns)
        for name, values in columns.items():
            shapes = {shape_of(kind) for kind in set(map(type, values)) - {type(None)}}
            if shapes - {self.shapes.get(name)} and name not in self.judged:
                return {}
        return columns

    def _good_columns(self, block: TextBlock, log: ReadLog) -> Columns:
        good = []
        for line, text, row in rows_of(block, log):
            if problem := self._misshapen(row):
                log.reject(line, text, problem)
            else:
                good.append(row)
        return {name: [row.get(name) for row in good] for name in self.columns}

    def _misshapen(self, row: Row) -> str:
        for name, value in row.items():
            if value is None or name in self.judged:
                continue
            if shape_of(type(value)) != (expected := self.shapes[name]):
                return f"column {name!r}: expected {expected} as on most lines, " + (
                    f"found {shape_of(type(value))}"
                )
        return ""

    def _column(self, values: list[object], name: str, kind: str) -> pl.Series:
        if self.shapes.get(name, "a value") != "a value" and name not in self.judged:
            return _nested(name, values)
        types = set(map(type, values)) - {type(None)}
        if types <= {int} and kind == "int" and _fits_int64(values):
            return pl.Series(name, values, dtype=pl.Int64)
        if types <= {float, int} and kind == "float" and (int not in types or _exact(values)):
            return pl.Series(name, values, dtype=pl.Float64, strict=False)
        if types <= {bool} and kind == "bool":
            return pl.Series(name, values, dtype=pl.Boolean)
        texts = values if types <= {str} else [_as_text(value) for value in values]
        text = pl.Series(name, texts, dtype=pl.String)
        if (types <= {str} and kind == "time") or (kind == "int" and types <= {int}):
            return fitted(text, kind)
        return text if types else text.cast(dtype_of(kind))


def rows_of(block: TextBlock, log: ReadLog) -> list[tuple[int, bytes, Row]]:
    """Return (line, text, object) of each line that has one; the others go to the log."""
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
    return found


def objects(block: TextBlock, columns: tuple[str, ...]) -> Sequence[object] | None:
    """Return the objects of a block all at once, None unless each line is one of known keys."""
    data = block.data
    if not columns or not _begin_objects(data):
        return None
    try:
        rows = _decoder(columns)(data)
    except (msgspec.DecodeError, ValueError, RecursionError):  # of a key with a quote, a ValueError
        return None
    return rows if len(rows) == block.feeds + (not data.endswith(b"\n")) else None


def values_at_once(block: TextBlock, columns: tuple[str, ...]) -> Columns:
    """Return the values of a block by key; none unless each line is an object of known keys."""
    rows = objects(block, columns) or ()
    names = enumerate(columns if rows else ())
    return {name: list(map(attrgetter(f"f{at}"), rows)) for at, name in names}


def shape_of(kind: type) -> str:
    """Return the shape of values of a type."""
    return _SHAPES.get(kind, "a value")


@lru_cache(8)
def _decoder(names: tuple[str, ...]) -> Decode:
    """Return what decodes lines of objects with these keys, or some of them, and no others."""
    keys = [(f"f{number}", Any, msgspec.field(name=name, default=None))
            for number, name in enumerate(names)]  # fmt: skip
    row = msgspec.defstruct("Row", keys, forbid_unknown_fields=True, gc=False)
    return msgspec.json.Decoder(row).decode_lines


def _begin_objects(data: bytes) -> bool:
    """Tell whether each line begins with a brace, so that none is blank."""
    values = np.frombuffer(data, np.uint8)
    starts = np.flatnonzero(values == 10) + 1
    begins = values[starts[starts < len(values)]] == ord("{")
    return data.startswith(b"{") and bool(begins.all())


def _fits_int64(values: list[object]) -> bool:
    numbers = [value for value in values if isinstance(value, int)]
    return not numbers or -_BIG <= min(numbers) <= max(numbers) < _BIG


def _exact(values: list[object]) -> bool:
    """Tell whether floats hold all the whole numbers among the values."""
    return all(not isinstance(value, int) or abs(value) <= 2**53 for value in values)


def _as_text(value: object) -> str | None:
    if value is None or isinstance(value, str):
        return value
    # msgspec writes integers of 64 bits only, and no half characters.
    if isinstance(value, int | list | dict) and not isinstance(value, bool):
        return json.dumps(value)
    return msgspec.json.encode(value).decode()


def _nested(name: str, values: list[object]) -> pl.Series:
    """Build a column of lists or objects; as JSON text where they are not of one type."""
    try:
        return pl.Series(name, values, strict=True)
    except (TypeError, ValueError, OverflowError, pl.exceptions.PolarsError):
        texts = [None if value is None else msgspec.json.encode(value).decode() for value in values]
        return pl.Series(name, texts, dtype=pl.String)
