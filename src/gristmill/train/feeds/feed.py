"""Which rows each step sees."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from gristmill.core.errors import TrainError, UsageError
from gristmill.core.fingerprint import fingerprint
from gristmill.core.seeds import derive_seed
from gristmill.train.batches import epoch_batches
from gristmill.train.feeds.batch import Batch
from gristmill.train.feeds.dataset import Dataset, row_lengths_of
from gristmill.train.feeds.users_code import users_code

_ORDERS_KEPT = 2
"""Epochs whose order is kept: work on two is under way where steps are pipelined."""


class EpochOrder:
    """The rows of one epoch in the order in which they are seen, cut into steps.

    Args:
        rows: int64[n], positions.
        bounds: int64[steps + 1], where in `rows` each step begins and the last one ends.
    """

    def __init__(self, rows: NDArray[np.int64], bounds: NDArray[np.int64]) -> None:
        self._rows, self._bounds = rows, bounds

    @classmethod
    def of(
        cls, dataset: Dataset, batch_size: int, seed: int, epoch: int, *, shuffle: bool = True
    ) -> EpochOrder:
        """Return the order of an epoch, 1 for the first.

        Rows with lengths are put together with rows of like length (`epoch_batches`), and the
        short batch comes anywhere; without lengths the order is a permutation and it comes last.
        """
        rows, lengths = len(dataset), row_lengths_of(dataset)
        ends = np.minimum(np.arange(-(-rows // batch_size) + 1) * batch_size, rows)
        if not shuffle:
            return cls(np.arange(rows), ends)
        if lengths is None:
            generator = np.random.default_rng(derive_seed(seed, "epoch", epoch))
            return cls(generator.permutation(rows), ends)
        batches = epoch_batches(lengths, batch_size, seed, epoch)
        return cls(np.concatenate(batches), np.cumsum([0, *map(len, batches)]))

    def without_short(self, batch_size: int) -> EpochOrder:
        """Return the order without the batch that has fewer rows than `batch_size`, if any."""
        sizes = np.diff(self._bounds)
        kept = np.repeat(sizes == batch_size, sizes)
        full = int((sizes == batch_size).sum())
        return EpochOrder(self._rows[kept], np.arange(full + 1) * batch_size)

    def step(self, place: int) -> NDArray[np.int64]:
        """Return the rows of the step at a place, 0 for the first of the epoch."""
        return self._rows[self._bounds[place] : self._bounds[place + 1]]


class Feed:
    """The batches of a dataset, by number of step.

    Every row comes once an epoch (but for those of the short batch that `drop_last` drops). A batch
    depends on the dataset, the seed and the step alone, so a run can begin at any step and any
    process can make any batch.

    Args:
        dataset: rows to learn from.
        batch_size: rows of a step. The rows left over make a shorter batch; a dataset of
            fewer rows than that is one short batch.
        seed: of the order.
        drop_last: leave the short batch out.
        shuffle: draw a new order for each epoch; without, rows come as they are.

    Raises:
        UsageError: `batch_size` is below 1.
        TrainError: there are no rows, or, with `drop_last`, fewer than a batch.
    """

    def __init__(
        self,
        dataset: Dataset,
        batch_size: int,
        seed: int,
        drop_last: bool = False,
        *,
        shuffle: bool = True,
    ) -> None:
        self.dataset, self.batch_size, self.seed = dataset, batch_size, seed
        self.drop_last, self.shuffle = drop_last, shuffle
        self.steps_per_epoch = steps_of(len(dataset), batch_size, drop_last=drop_last)
        self._orders: dict[int, EpochOrder] = {}

    def epoch_of(self, step: int) -> int:
        """Return the epoch, 1 for the first, of a step, 0 for the first."""
        return step // self.steps_per_epoch + 1

    def rows(self, step: int) -> NDArray[np.int64]:
        """Return the positions of a step's rows in the dataset, int64[rows of the step]."""
        return self._order(self.epoch_of(step)).step(step % self.steps_per_epoch)

    def batch(self, step: int) -> Batch:
        """Return the rows of a step.

        Raises:
            TrainError: the dataset gives another number of rows than it was asked for.
        """
        return taken(self.dataset, self.rows(step))

    def _order(self, epoch: int) -> EpochOrder:
        if epoch not in self._orders:
            made = EpochOrder.of(
                self.dataset, self.batch_size, self.seed, epoch, shuffle=self.shuffle
            )
            self._orders[epoch] = made.without_short(self.batch_size) if self.drop_last else made
            for oldest in list(self._orders)[:-_ORDERS_KEPT]:
                del self._orders[oldest]
        return self._orders[epoch]

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_orders": {}}

    def __fingerprint__(self) -> str:
        facts = (self.batch_size, self.seed, self.drop_last, self.shuffle)
        return fingerprint((self.dataset, facts))


def steps_of(rows: int, batch_size: int, *, drop_last: bool = False) -> int:
    """Return the number of steps that see every row once.

    Raises:
        UsageError: `batch_size` is below 1.
        TrainError: there are no rows, or, with `drop_last`, fewer than a batch.
    """
    if batch_size < 1:
        raise UsageError(f"batch_size must be at least 1, found {batch_size!r}")
    if not rows:
        raise TrainError("expected at least one row, found none")
    if drop_last and rows < batch_size:
        raise TrainError(
            f"drop_last would drop all {rows} rows, fewer than a batch of {batch_size}",
            fix="lower batch_size, or set drop_last=False to train on one short batch",
        )
    return rows // batch_size if drop_last else -(-rows // batch_size)


def taken(dataset: Dataset, rows: NDArray[np.int64]) -> Batch:
    """Return rows of a dataset, checked: a user's own dataset may give others.

    Raises:
        TrainError: it gives something else than a batch, or of another number of rows, or raises
            an error of its own.
    """
    with users_code(f"{type(dataset).__qualname__}.take"):
        batch: object = dataset.take(rows)
    if not isinstance(batch, Batch) or batch.rows != len(rows):
        found = f"{batch.rows} rows" if isinstance(batch, Batch) else repr(type(batch).__name__)
        raise TrainError(
            f"expected a Batch of {len(rows)} rows, found {found}",
            where=f"{type(dataset).__qualname__}.take",
        )
    return batch
