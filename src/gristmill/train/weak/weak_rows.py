"""A labels table read for training: which rows are gold, what the weak ones say and how surely."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np
import polars as pl
from numpy.typing import NDArray

from gristmill.core.errors import TrainError
from gristmill.core.seeds import derive_seed
from gristmill.data.table import ROW_ID
from gristmill.train.weak.sparse_rows import FeaturesLike, Floats, Ints, SparseRows

Relabel: TypeAlias = Callable[[pl.DataFrame], pl.DataFrame]
"""From some gold rows (`row_id`, `label`) to a labels table whose weak rows saw no other gold."""

Selections: TypeAlias = Mapping[str, NDArray[np.bool_]]
GOLD = "gold"
ALL_ROWS = "all"
_COLUMNS = (ROW_ID, "probs", "weight", "source")


@dataclass(frozen=True, slots=True)
class WeakRows:
    """Rows that have a label, in the order of their ids.

    Attributes:
        features: float64[n, d].
        ids: of the n rows.
        places: int64[n], positions in the labels table.
        probs: float64[n, k].
        own: float64[n], the weights of the table; the mean over weak rows does not matter.
        gold: bool[n], the rows whose label an expert gave.
        selections: name -> bool[n], the weak rows that it keeps.
    """

    features: SparseRows
    ids: pl.Series
    places: Ints
    probs: Floats
    own: Floats
    gold: NDArray[np.bool_]
    selections: Selections
    standing_for: float = 1.0
    """How many weak rows each one here stands for."""

    @classmethod
    def of(cls, features: FeaturesLike, labels: pl.DataFrame, selections: Selections) -> WeakRows:
        """Read a labels table; rows without weight are left out, unless they are gold.

        Raises:
            TrainError: columns are missing, lengths disagree, or a value is no probability or
                weight.
        """
        matrix = SparseRows.of(features)
        _check(labels, {"features": len(matrix), **{n: len(m) for n, m in selections.items()}})
        probs, own = _probs(labels["probs"]), labels["weight"].cast(pl.Float64).to_numpy()
        gold = (labels["source"] == GOLD).to_numpy()
        _check_values(labels[ROW_ID], probs, own)
        places = labels[ROW_ID].arg_sort().cast(pl.Int64).to_numpy()
        places = places[gold[places] | (own[places] > 0)]
        kept = {ALL_ROWS: np.ones(len(places), np.bool_)}
        kept |= {name: np.asarray(mask, np.bool_)[places] for name, mask in selections.items()}
        ids = labels[ROW_ID][places]
        return cls(matrix.take(places), ids, places, probs[places], own[places], gold[places], kept)

    @property
    def classes(self) -> int:
        """The number of classes."""
        return int(self.probs.shape[1])

    @property
    def truth(self) -> Ints:
        """The likeliest class of each row: int64[n]."""
        return np.asarray(self.probs.argmax(axis=1), np.int64)

    def targets(self, kind: str) -> Floats:
        """Return what to learn: the probabilities ("soft"), or the likeliest class ("hard")."""
        return np.eye(self.classes)[self.truth] if kind == "hard" else self.probs

    def weights(self, weight: float, selection: str) -> Floats:
        """Return float64[n]: 1 for gold rows; for the weak rows kept, `weight` on average."""
        weak = ~self.gold & self.selections[selection]
        mean = self.own[weak].mean() if weak.any() else 1.0
        scale = weight * self.standing_for / mean
        return np.where(self.gold, 1.0, np.where(weak, scale * self.own, 0.0))

    def sample(self, most: int, seed: int) -> WeakRows:
        """Return the rows with at most so many weak ones, chosen by their ids, standing for all."""
        weak = np.flatnonzero(~self.gold)
        if len(weak) <= most:
            return self
        keys = [derive_seed(seed, "weak rows", row_id) for row_id in self.ids[weak].to_list()]
        chosen = weak[np.argsort(keys)[:most]]
        rows = np.sort(np.concatenate([np.flatnonzero(self.gold), chosen]))
        return WeakRows(
            self.features.take(rows),
            self.ids[rows],
            self.places[rows],
            self.probs[rows],
            self.own[rows],
            self.gold[rows],
            {name: mask[rows] for name, mask in self.selections.items()},
            len(weak) / most,
        )

    def relabelled(self, relabel: Relabel, hidden: Ints) -> WeakRows:
        """Return the rows with the weak ones labelled anew, without the gold of some rows.

        Raises:
            TrainError: the new table lacks rows or columns.
        """
        seen = self.gold.copy()
        seen[hidden] = False
        rows = np.flatnonzero(seen)
        table = relabel(pl.DataFrame({ROW_ID: self.ids[rows], "label": self.truth[rows]}))
        _check(table, {})
        found = pl.DataFrame({ROW_ID: self.ids}).join(
            table.select(_COLUMNS), on=ROW_ID, how="left", maintain_order="left"
        )
        if found["probs"].null_count():
            missing = found.filter(pl.col("probs").is_null())[ROW_ID][0]
            raise TrainError(f"relabel returned no label for row {missing!r}")
        own = found["weight"].cast(pl.Float64).to_numpy()
        probs = np.where(self.gold[:, None], self.probs, _probs(found["probs"]))
        return replace(self, probs=probs, own=np.where(self.gold, self.own, own))


def _probs(column: pl.Series) -> Floats:
    return np.array(column.to_list(), np.float64)


def _check(labels: pl.DataFrame, lengths: Mapping[str, int]) -> None:
    missing: Sequence[str] = [name for name in _COLUMNS if name not in labels.columns]
    if missing:
        raise TrainError(
            f"a labels table needs the columns {', '.join(_COLUMNS)}, "
            f"found {', '.join(labels.columns) or 'none'}"
        )
    wrong = {name: length for name, length in lengths.items() if length != labels.height}
    if wrong:
        raise TrainError(f"expected {labels.height} rows, one a label, found {wrong}")


def _check_values(ids: pl.Series, probs: Floats, own: Floats) -> None:
    with np.errstate(invalid="ignore"):
        sound = (np.abs(probs.sum(axis=1) - 1) < 1e-3) & (probs >= 0).all(axis=1)
        fine = (own >= 0) & np.isfinite(own)
    for mask, said, values in ((sound, "probabilities", probs), (fine, "a weight", own)):
        if not mask.all():
            row = int(np.argmin(mask))
            found = values[row].tolist()
            raise TrainError(f"expected {said} of a row, found {found}", where=f"row {ids[row]!r}")
