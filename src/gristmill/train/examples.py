"""Training examples: encoded rows with soft targets and weights."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from gristmill.core.errors import TrainError, UsageError
from gristmill.core.fingerprint import fingerprint
from gristmill.core.seeds import derive_seed
from gristmill.data.table import ROW_ID, TableLike, as_table
from gristmill.train.targets import join_labels

if TYPE_CHECKING:
    from gristmill.data.features import Featurizer
    from gristmill.train.targets import LabelsLike

Inputs: TypeAlias = NDArray[np.int64] | NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class Examples:
    """Rows to learn from or to be judged on.

    Attributes:
        inputs: token ids int64[n, length] with 0 = padding on the right, or features
            float32[n, width].
        targets: float32[n, k]: a distribution over the classes for each row.
        weights: float32[n], 0 or more: how much a row counts in the loss.
        row_ids: int64[n] or str[n], unique.

    Raises:
        TrainError: shapes disagree, or a target or weight is no distribution or number.
    """

    inputs: Inputs
    targets: NDArray[np.float32]
    weights: NDArray[np.float32]
    row_ids: NDArray[Any]

    def __post_init__(self) -> None:
        _check_shapes(self)
        _check_values(self)

    @classmethod
    def from_table(
        cls,
        frame: TableLike,
        labels: LabelsLike,
        featurizer: Featurizer,
        classes: Sequence[str],
    ) -> Examples:
        """Encode the rows of a table that have a label.

        Args:
            frame: the table that `featurizer` reads.
            labels: a labels table (`row_id` with `probs` or `label`, and `weight` if rows differ in
                weight), joined by row id; or the name of a label column of `frame`; or one label
                for each row of `frame`. A label is a class number 0..k-1 or a class name; -1 and
                null mean that nothing is known, and such rows are left out.
            featurizer: turns rows into ids or features.
            classes: class names; their order gives the class numbers.

        Raises:
            TrainError: a label is of no known class, or columns are missing or of unequal length.
            DataError: the table lacks what the featurizer reads.
        """
        table = as_table(frame)
        rows, targets, weights = join_labels(table, labels, list(classes))
        kept = table[rows]
        ids = kept[ROW_ID]
        row_ids = ids.to_numpy() if ids.dtype.is_integer() else np.asarray(ids.to_list(), dtype=str)
        return cls(featurizer.apply(kept), targets, weights, row_ids)

    def __len__(self) -> int:
        return len(self.targets)

    @property
    def k(self) -> int:
        """Number of classes."""
        return int(self.targets.shape[1])

    @property
    def hard(self) -> NDArray[np.int64]:
        """The likeliest class of each row: int64[n]."""
        return np.asarray(self.targets.argmax(axis=1), dtype=np.int64)

    @property
    def lengths(self) -> NDArray[np.int64]:
        """Tokens of each row, or the number of features: int64[n]."""
        return row_lengths(self.inputs)

    def take(self, rows: NDArray[np.int64] | NDArray[np.bool_]) -> Examples:
        """Return the rows at positions, int64[m], or where a mask, bool[n], is true."""
        return Examples(
            self.inputs[rows], self.targets[rows], self.weights[rows], self.row_ids[rows]
        )

    def by_row_id(self) -> Examples:
        """Return the same rows in the order of their ids, so that no order handed in matters."""
        return self.take(np.argsort(self.row_ids, kind="stable"))

    def split(self, fraction: float, seed: int = 0) -> tuple[Examples, Examples]:
        """Split into (rest, part), `part` being about `fraction` of the rows.

        A row's side depends on its id and the seed alone: adding or reordering rows moves no other
        row across.

        Raises:
            UsageError: the fraction is not between 0 and 1.
        """
        if not 0 < fraction < 1:
            raise UsageError(f"expected a fraction between 0 and 1, found {fraction!r}")
        words = [derive_seed(seed, "split", row) for row in self.row_ids.tolist()]
        inside = np.array(words, dtype=np.float64) < fraction * 2.0**63
        return self.take(~inside), self.take(inside)

    def hold_out(self, fraction: float, seed: int) -> tuple[Examples, Examples]:
        """Split into (rest, validation) as `fit` and `search` do for `validation=fraction`.

        Raises:
            UsageError: the fraction is not between 0 and 1.
        """
        return self.split(fraction, derive_seed(seed, "validation"))

    def __fingerprint__(self) -> str:
        return fingerprint((self.inputs, self.targets, self.weights, self.row_ids))


def row_lengths(inputs: Inputs) -> NDArray[np.int64]:
    """Return the tokens of each row, or the number of features: int64[n]."""
    if inputs.dtype != np.int64:
        return np.full(len(inputs), inputs.shape[1], dtype=np.int64)
    return np.asarray((inputs != 0).sum(axis=1), dtype=np.int64)


def batch_inputs(inputs: Inputs, rows: NDArray[np.int64]) -> Inputs:
    """Return the inputs of some rows, without the padding that all of them share.

    At least one column stays, so that a batch of empty texts still has a shape.
    """
    batch = inputs[rows]
    if batch.dtype != np.int64:
        return batch
    used = np.flatnonzero((batch != 0).any(axis=0))
    return batch[:, : int(used[-1]) + 1 if used.size else 1]


def _check_shapes(examples: Examples) -> None:
    inputs, targets = examples.inputs, examples.targets
    if inputs.ndim != 2 or inputs.dtype not in (np.int64, np.float32):
        raise TrainError(
            f"inputs must be int64 ids or float32 features of shape [rows, width], "
            f"found {inputs.dtype}{list(inputs.shape)}"
        )
    if targets.ndim != 2 or targets.dtype != np.float32:
        raise TrainError(
            f"targets must be float32[rows, classes], found {targets.dtype}{list(targets.shape)}"
        )
    found = {
        "inputs": len(inputs),
        "targets": len(targets),
        "weights": examples.weights.size,
        "row_ids": examples.row_ids.size,
    }
    if len(set(found.values())) > 1:
        raise TrainError(f"expected as many rows everywhere, found {found}")


def _check_values(examples: Examples) -> None:
    targets, weights = examples.targets, examples.weights
    with np.errstate(invalid="ignore"):
        sound = (targets >= 0).all(axis=1) & (np.abs(targets.sum(axis=1) - 1) < 1e-3)
        counts = (weights >= 0) & np.isfinite(weights)
    if not sound.all():
        row = int(np.argmin(sound))
        raise TrainError(
            f"expected probabilities that add up to 1, found {targets[row].tolist()}",
            where=f"row {examples.row_ids[row]}",
        )
    if not counts.all():
        row = int(np.argmin(counts))
        raise TrainError(
            f"expected a weight of 0 or more, found {weights[row]}",
            where=f"row {examples.row_ids[row]}",
        )
