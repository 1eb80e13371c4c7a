"""One JSON Lines file as a source of a stream."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from copy import copy
from types import NoneType

import polars as pl

from gristmill.data.column_kinds import decided_kind
from gristmill.data.json_columns import plain_keys
from gristmill.data.json_reader import (
    Columns,
    JsonReader,
    objects,
    rows_of,
    shape_of,
    values_at_once,
)
from gristmill.data.pieces import Piece
from gristmill.data.read_log import ReadLog
from gristmill.data.remote_path import AnyPath
from gristmill.data.text_blocks import BLOCK_BYTES, TextBlock, TextBlocks
from gristmill.data.text_pieces import CountedBlock, text_pieces

_NEARLY_ALL = 0.95


class JsonSource:
    """A JSON Lines file. It is read once ahead, for keys that come late and the columns' shapes.

    A line whose value in some column has another shape (value, list or object) than most of the
    column's values in the first part that has any is set aside.

    Args:
        path: the file.
        block_bytes: how much is read at once.
        judged: columns whose values somebody else judges, by `odd_values`: no line is set aside
            for them, and `frames` has the column of odd values.
    """

    def __init__(
        self, path: AnyPath, block_bytes: int = BLOCK_BYTES, *, judged: Sequence[str] = ()
    ) -> None:
        self._path, self._block_bytes, self.judged = path, block_bytes, judged
        self.where = path.name
        self._kinds: dict[str, str] = {}
        self._shapes: dict[str, str] = {}
        for block in TextBlocks(path, ReadLog(), block_bytes):
            if not (all(self._kinds.values()) and self._knows_keys(block)):
                self._learn(_values(block))
        self.columns = list(self._kinds)
        self._reader = JsonReader(tuple(self.columns), tuple(judged), self._shapes)

    def kinds(self) -> dict[str, str]:
        """Return the kind of each column with values, from the first block that has some."""
        return {name: kind for name, kind in self._kinds.items() if kind}

    def frames(self, kinds: Mapping[str, str], log: ReadLog) -> Iterator[pl.DataFrame]:
        """Yield the good rows, with columns of their kind where all cells of a block fit."""
        for block in TextBlocks(self._path, log, self._block_bytes):
            frame = self._reader.frame(block, kinds, log)
            if frame is not None:
                yield frame

    def pieces(self, kinds: Mapping[str, str], log: ReadLog) -> Iterator[Piece]:
        """Yield the blocks of the file, or all of it where blocks cannot be read by themselves."""
        path, source = self._path.absolute(), copy(self)
        source._path = path
        blocks = (
            CountedBlock(block.origin, self._reader.count(block, log), len(block.data))
            for block in TextBlocks(path, log, self._block_bytes)
        )
        return text_pieces(path, self._reader, source, blocks)

    def _knows_keys(self, block: TextBlock) -> bool:
        keys = plain_keys(block)
        known = set(keys) <= set(self._kinds) if keys else False
        return known or objects(block, tuple(self._kinds)) is not None

    def _learn(self, columns: Columns) -> None:
        for name, cells in columns.items():
            if self._kinds.get(name):
                continue
            types = Counter(map(type, cells))
            del types[NoneType]
            self._kinds[name] = ""
            if types:
                shapes = Counter[str]()
                for kind, count in types.items():
                    shapes[shape_of(kind)] += count
                shape = shapes.most_common(1)[0][0]
                self._shapes[name] = shape
                alike = {kind: count for kind, count in types.items() if shape_of(kind) == shape}
                self._kinds[name] = _kind(Counter(alike), cells)


def _values(block: TextBlock) -> Columns:
    """Return the values of a block's rows by key, in the order in which keys come up."""
    keys = plain_keys(block)
    if keys and (columns := values_at_once(block, keys)):
        return columns
    rows = [row for _, _, row in rows_of(block, ReadLog())]
    names = dict.fromkeys(name for row in rows for name in row)
    return {name: [row.get(name) for row in rows] for name in names}


def _kind(types: Counter[type], cells: Sequence[object]) -> str:
    """Return the kind of at least 95 % of the values of these types, as JSON writes them."""
    enough = _NEARLY_ALL * types.total()
    if types[list] or types[dict]:
        return "other"
    if types[int] >= enough:
        return "int"
    if types[int] + types[float] >= enough:
        return "float"
    if types[bool] >= enough:
        return "bool"
    if types[str] < enough:
        return "string"
    texts = pl.Series([value for value in cells if isinstance(value, str)])
    return "time" if decided_kind(texts) == "time" else "string"
