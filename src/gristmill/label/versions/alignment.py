"""Two versions of labels side by side: the rows and the sources that they have in common."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import polars as pl
from numpy.typing import NDArray

from gristmill.core.errors import LabelError
from gristmill.data.table import ROW_ID
from gristmill.label.vote import ABSTAIN

if TYPE_CHECKING:
    from gristmill.label.labels import Labels
    from gristmill.label.votes import Votes

ADDED, REMOVED, CHANGED, SAME = "added", "removed", "changed", "same"
_NOWHERE = -1


@dataclass(frozen=True)
class Alignment:
    """Rows of two versions, matched by id; sources, matched by name.

    Attributes:
        before, after: the versions.
        row_ids: ids of r rows: those of the first version in its order, then new ones.
        place_before, place_after: int64[r], the row's place in each version, -1 where it has none.
        sources: the u sources of either: those of the first version, then new ones.
        status: of each source: "added", "removed", "changed" (another fingerprint) or "same".
    """

    before: Labels
    after: Labels
    row_ids: pl.Series
    place_before: NDArray[np.int64]
    place_after: NDArray[np.int64]
    sources: tuple[str, ...]
    status: tuple[str, ...]

    @classmethod
    def of(cls, before: Labels, after: Labels) -> Alignment:
        """Match two versions.

        Raises:
            LabelError: they have different classes, or ids of different kinds.
        """
        if before.classes != after.classes:
            raise LabelError(
                f"these labels have classes {list(before.classes)}, those {list(after.classes)}"
            )
        rows = _matched(before.votes.row_ids, after.votes.row_ids)
        marks = [
            dict(zip(each.votes.names, each.votes.fingerprints, strict=True))
            for each in (before, after)
        ]
        sources = tuple(dict.fromkeys([*marks[0], *marks[1]]))
        return cls(
            before,
            after,
            rows[ROW_ID],
            rows["before"].to_numpy(),
            rows["after"].to_numpy(),
            sources,
            tuple(_status(marks[0].get(name), marks[1].get(name)) for name in sources),
        )

    def votes(self, rows: NDArray[np.int64]) -> tuple[NDArray[np.integer], NDArray[np.integer]]:
        """Return what the sources said of some rows in each version: int[len(rows), u] twice.

        Abstain stands where a version lacks the row or the source.
        """
        return (
            self._votes(self.before.votes, self.place_before[rows]),
            self._votes(self.after.votes, self.place_after[rows]),
        )

    def _votes(self, votes: Votes, places: NDArray[np.int64]) -> NDArray[np.integer]:
        found = np.full((len(places), len(self.sources)), ABSTAIN, votes.matrix.dtype, order="F")
        there = places >= 0
        for column, name in enumerate(self.sources):
            if name in votes.names:
                source = votes.matrix[:, votes.names.index(name)]
                found[there, column] = source[places[there]]
        return found


def _matched(before: pl.Series, after: pl.Series) -> pl.DataFrame:
    if before.dtype.is_integer() != after.dtype.is_integer() and len(before) and len(after):
        raise LabelError(
            f"these labels have row ids of type {before.dtype}, those {after.dtype}",
            fix="compare labels of the same table",
        )
    frames = [
        pl.DataFrame({ROW_ID: ids.cast(pl.Int64 if before.dtype.is_integer() else pl.String)})
        .with_row_index(name)
        .with_columns(pl.col(name).cast(pl.Int64))
        for name, ids in (("before", before), ("after", after))
    ]
    joined = frames[0].join(
        frames[1], on=ROW_ID, how="full", coalesce=True, maintain_order="left_right"
    )
    return joined.with_columns(pl.col("before", "after").fill_null(_NOWHERE))


def _status(before: str | None, after: str | None) -> str:
    if before is None:
        return ADDED
    if after is None:
        return REMOVED
    return SAME if before == after else CHANGED
