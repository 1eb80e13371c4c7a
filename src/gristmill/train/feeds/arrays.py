"""A dataset of arrays, in memory or memory-mapped."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from gristmill.core.errors import TrainError
from gristmill.core.fingerprint import fingerprint
from gristmill.data.table import ROW_ID, TableLike, as_table
from gristmill.train.feeds.array_fingerprint import array_fingerprint
from gristmill.train.feeds.batch import Batch
from gristmill.train.feeds.columns import as_array
from gristmill.train.feeds.tensors import gather, tensor_dtype


class Arrays:
    """Rows of arrays, each of any shape `[rows, ...]`.

    Arrays are not copied: rows are gathered, and widened to what torch wants (see `tensor_dtype`),
    when a batch asks for them.

    Args:
        inputs: what the model is called with, in this order; each in a form that `as_array` takes.
        targets: an array, or a tuple of arrays, or None where the loss needs none.
        weights: [rows], 0 or more; 1 each if None. Rows of weight 0 are left out.
        ids: integers or strings [rows], unique. Rows then count in the order of their ids, so
            that the order in which they are handed in does not matter.

    Raises:
        TrainError: no rows, unequal numbers of rows, a weight that is none, an id twice, or data
            that are no numbers.
        UsageError: a file is not there.
    """

    def __init__(
        self, *inputs: Any, targets: Any = None, weights: Any = None, ids: Any = None
    ) -> None:
        self.inputs = tuple(as_array(each, f"input {i}") for i, each in enumerate(inputs))
        self._target_is_tuple = isinstance(targets, tuple)
        parts = targets if isinstance(targets, tuple) else () if targets is None else (targets,)
        self.targets = tuple(as_array(each, f"target {i}") for i, each in enumerate(parts))
        found = {f"input {i}": len(each) for i, each in enumerate(self.inputs)}
        found |= {f"target {i}": len(each) for i, each in enumerate(self.targets)}
        self.weights = None if weights is None else _checked(as_array(weights, "weights"))
        self._order = None if ids is None else _by_id(ids)
        if self.weights is not None:
            found["weights"] = len(self.weights)
        if self._order is not None:
            found["ids"] = len(self._order)
        rows = _common_length(found)
        if self.weights is not None and not self.weights.all():
            order = np.arange(rows) if self._order is None else self._order
            self._order = order[self.weights[order] > 0]
        self._rows = rows if self._order is None else len(self._order)

    @classmethod
    def from_table(
        cls,
        table: TableLike,
        inputs: str | Sequence[str],
        targets: str | Sequence[str],
        weights: str | None = None,
    ) -> Arrays:
        """Return columns of a table as a dataset; rows count in the order of `row_id`, if any.

        Args:
            table: any data frame, or a path.
            inputs: a column (of numbers, or of lists of one length), or names of number columns
                that make one input float32[rows, len(inputs)].
            targets: the same for the targets.
            weights: a column of weights.

        Raises:
            TrainError: a column is missing, or holds what `Arrays` refuses.
            DataError: it is no table.
        """
        frame = as_table(table)
        wanted = [inputs] if isinstance(inputs, str) else list(inputs)
        wanted += [targets] if isinstance(targets, str) else list(targets)
        for name in [*wanted, *([weights] if weights else [])]:
            if name not in frame.columns:
                raise TrainError(f"no column {name!r}", fix=f"columns: {', '.join(frame.columns)}")

        def stacked(names: str | Sequence[str]) -> NDArray[Any]:
            if isinstance(names, str):
                return as_array(frame[names], f"column {names!r}")
            columns = [as_array(frame[name], f"column {name!r}") for name in names]
            return np.column_stack([column.astype(np.float32) for column in columns])

        weighed = None if weights is None else frame[weights]
        return cls(
            stacked(inputs), targets=stacked(targets), weights=weighed, ids=frame[ROW_ID].to_list()
        )

    def __len__(self) -> int:
        return self._rows

    def take(self, rows: NDArray[np.int64]) -> Batch:
        """Return the rows at these positions, int64[n], in this order."""
        places = rows if self._order is None else self._order[rows]
        inputs = tuple(gather(x, places, tensor_dtype(x, is_target=False)) for x in self.inputs)
        targets = tuple(gather(y, places, tensor_dtype(y, is_target=True)) for y in self.targets)
        weights = torch.ones(len(rows))
        if self.weights is not None:
            weights = gather(self.weights, places, torch.float32)
        whole = targets if self._target_is_tuple else targets[0] if targets else None
        return Batch(inputs, whole, weights)

    def __fingerprint__(self) -> str:
        arrays = [*self.inputs, *self.targets]
        arrays += [each for each in (self.weights, self._order) if each is not None]
        shape = (len(self.inputs), len(self.targets), self.weights is None, self._order is None)
        return fingerprint((shape, [array_fingerprint(each) for each in arrays]))


def _common_length(found: dict[str, int]) -> int:
    if not any(name.startswith("input") for name in found):
        raise TrainError("expected at least one input array, found none")
    if len(set(found.values())) > 1:
        raise TrainError(f"expected as many rows everywhere, found {found}")
    rows = next(iter(found.values()))
    if not rows:
        raise TrainError("expected at least one row, found none")
    return rows


def _checked(weights: NDArray[Any]) -> NDArray[np.float32]:
    if weights.ndim != 1:
        raise TrainError(f"expected one weight a row, found shape {list(weights.shape)}")
    with np.errstate(invalid="ignore"):
        sound = (weights >= 0) & np.isfinite(weights)
    if not sound.all():
        row = int(np.argmin(sound))
        raise TrainError(
            f"expected a weight of 0 or more, found {weights[row]}", where=f"row {row}"
        )
    if not weights.any():
        raise TrainError("every weight is 0: there is nothing to learn from")
    return weights.astype(np.float32)


def _by_id(ids: Any) -> NDArray[np.int64]:
    """Return the positions of the rows in the order of their ids."""
    listed = getattr(ids, "to_list", getattr(ids, "to_pylist", lambda: ids))()
    keys = np.asarray(listed)
    if keys.ndim != 1 or keys.dtype.kind not in "iuU":
        raise TrainError(
            f"ids are integers or strings, one a row, found {keys.dtype}{list(keys.shape)}"
        )
    order = np.argsort(keys, kind="stable")
    same = np.flatnonzero(keys[order[1:]] == keys[order[:-1]])
    if same.size:
        raise TrainError(f"id {keys[order[same[0]]].item()!r} belongs to more than one row")
    return order.astype(np.int64)
