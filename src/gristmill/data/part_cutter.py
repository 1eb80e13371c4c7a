"""Frames of any height to parts of at most so many rows and bytes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import polars as pl

PART_BYTES = 24 << 20


class PartCutter:
    """Joins small frames and cuts large ones; frames of different types are never joined."""

    def __init__(self, rows: int) -> None:
        self._rows = rows

    def cut(self, frames: Iterable[pl.DataFrame]) -> Iterator[pl.DataFrame]:
        """Yield the rows of all frames, in order."""
        held: list[pl.DataFrame] = []
        height = bytes_ = 0
        for frame in frames:
            if held and frame.schema != held[0].schema:
                yield from self._slices(held, height)
                held, height, bytes_ = [], 0, 0
            held.append(frame)
            height, bytes_ = height + frame.height, bytes_ + int(frame.estimated_size())
            if height < self._rows and bytes_ < PART_BYTES:
                continue
            *full, rest = self._slices(held, height)
            whole = bytes_ >= PART_BYTES or rest.height == self._rows
            yield from [*full, rest] if whole else full
            held, height = ([], 0) if whole else ([rest], rest.height)
            bytes_ = 0 if whole else int(rest.estimated_size())
        if height:
            yield from self._slices(held, height)

    def _slices(self, held: list[pl.DataFrame], height: int) -> Iterator[pl.DataFrame]:
        whole = pl.concat(held) if len(held) > 1 else held[0]
        yield from (whole[start : start + self._rows] for start in range(0, height, self._rows))
