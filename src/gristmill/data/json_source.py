"""One JSON Lines file as a source of a stream."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from copy import copy

import polars as pl

from gristmill.data.column_kinds import decided_kind
from gristmill.data.json_reader import JsonReader, Row, objects, rows_of, shape_of
from gristmill.data.pieces import Piece
from gristmill.data.read_log import ReadLog
from gristmill.data.remote_path import AnyPath
from gristmill.data.text_blocks import BLOCK_BYTES, TextBlocks
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
            if not all(self._kinds.values()) or objects(block, tuple(self._kinds)) is None:
                self._learn([row for _, _, row in rows_of(block, ReadLog())])
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

    def _learn(self, rows: list[Row]) -> None:
        for name in dict.fromkeys(name for row in rows for name in row):
            if self._kinds.get(name):
                continue
            values = [value for row in rows if (value := row.get(name)) is not None]
            self._kinds[name] = ""
            if values:
                shapes = Counter[str]()
                for kind, count in Counter(map(type, values)).items():
                    shapes[shape_of(kind)] += count
                shape = shapes.most_common(1)[0][0]
                self._shapes[name] = shape
                alike = [value for value in values if shape_of(type(value)) == shape]
                self._kinds[name] = _kind(alike if len(shapes) > 1 else values)


def _kind(values: list[object]) -> str:
    """Return the kind of at least 95 % of the values, as JSON writes them."""
    types = Counter(map(type, values))
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
