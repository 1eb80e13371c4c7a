"""On which rows labelling functions failed, kept small however many they are."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from gristmill.label.votes import FAILED, no_silence

if TYPE_CHECKING:
    import polars as pl

MESSAGES_KEPT = 5
"""How many failures of a function keep what they said."""


class Failures:
    """Positions of the rows on which each function failed, and what its first failures said."""

    def __init__(self) -> None:
        self._rows: list[NDArray[np.int64]] = []
        self._sources: list[int] = []
        self._messages: dict[tuple[int, int], str] = {}
        self._kept: Counter[int] = Counter()

    def add(self, start: int, source: int, failures: Sequence[tuple[int, str]]) -> None:
        """Add the failures of a function on a partition that begins at row `start`.

        Args:
            start: position of the partition in the table.
            source: which function.
            failures: (position in the partition, message), in order.
        """
        if not failures:
            return
        self._rows.append(np.array([start + position for position, _ in failures], np.int64))
        self._sources.append(source)
        for position, message in failures[: MESSAGES_KEPT - self._kept[source]]:
            self._messages[start + position, source] = message
            self._kept[source] += 1

    def frame(self) -> pl.DataFrame:
        """Return a row for each failure, as `Votes.silent` has it, by row and source."""
        import polars as pl

        if not self._rows:
            return no_silence()
        cells = pl.DataFrame(
            {
                "row": np.concatenate(self._rows),
                "source": np.repeat(self._sources, [len(rows) for rows in self._rows]),
            },
            schema={"row": pl.Int64, "source": pl.Int32},
        ).sort("row", "source")
        said = pl.DataFrame(
            [(*cell, message) for cell, message in self._messages.items()],
            schema={"row": pl.Int64, "source": pl.Int32, "message": pl.String},
            orient="row",
        )
        states = cells.with_columns(pl.lit(FAILED).alias("state"))
        return states.join(said, on=["row", "source"], how="left", maintain_order="left")
