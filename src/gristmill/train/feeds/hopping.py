"""Data that stays where it is while models visit it: model hopper parallelism.

After Cerebro (Nakandala, Zhang, Kumar; VLDB 2020, section 4). An epoch of a trial is a visit to
each partition, one after the other, with its weights carried from visit to visit: exactly
sequential training on the partitions in that order. The order depends on (seed, epoch, trial)
alone, not on which worker happened to be free, and trials 0..p-1 never want the same of p
partitions at the same place of their order.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from gristmill.core.errors import UsageError
from gristmill.core.fingerprint import fingerprint
from gristmill.core.seeds import derive_seed
from gristmill.train.feeds.batch import Batch
from gristmill.train.feeds.dataset import Dataset
from gristmill.train.feeds.feed import Feed, steps_of


class Opener(Protocol):
    """A dataset that is opened where it is used, such as a `SharedHandle`."""

    @property
    def rows(self) -> int:
        """Number of rows of the dataset."""

    def open(self) -> Any:
        """Return the dataset."""


class Visit(NamedTuple):
    """A trial at a partition: the steps `first` to `last` - 1."""

    partition: int
    first: int
    last: int


def partition_order(seed: int, epoch: int, trial: int, partitions: int) -> NDArray[np.int64]:
    """Return the partitions int64[partitions] in the order in which a trial visits them.

    Row `trial % partitions` of a Latin square: all trials of a group of as many trials as there
    are partitions go round one random circle, each from its own place.

    Args:
        seed: of the run.
        epoch: 1 for the first.
        trial: number of the trial.
        partitions: how many there are.
    """
    group, place = divmod(trial, partitions)
    generator = np.random.default_rng(derive_seed(seed, "hop", epoch, group))
    return np.roll(generator.permutation(partitions), -place)


class PartitionedFeed:
    """The batches of one trial that visits partitions of the data in turn.

    No batch spans two partitions. Rows of a partition are shuffled anew for each epoch, alike for
    all trials.

    Args:
        partitions: datasets, or handles that open one. A handle is opened when its rows are first
            read, so a worker only ever opens those it is asked for.
        batch_size: rows of a step; the last step at a partition may have fewer.
        seed: of the orders of rows and of partitions.
        trial: number of the trial.
        drop_last: leave the short batches out.

    Raises:
        UsageError: there is no partition, or `batch_size` is below 1.
        TrainError: a partition is empty or, with `drop_last`, shorter than a batch.
    """

    def __init__(
        self,
        partitions: Sequence[Dataset | Opener],
        batch_size: int,
        seed: int,
        trial: int = 0,
        *,
        drop_last: bool = False,
    ) -> None:
        if not partitions:
            raise UsageError("expected at least one partition, found none")
        self.partitions, self.batch_size = list(partitions), batch_size
        self.seed, self.trial, self.drop_last = seed, trial, drop_last
        counts = [len(each) if isinstance(each, Dataset) else each.rows for each in partitions]
        self._steps = [steps_of(rows, batch_size, drop_last=drop_last) for rows in counts]
        self.steps_per_epoch = sum(self._steps)
        self._feeds: dict[int, Feed] = {}
        self._visits: dict[int, list[Visit]] = {}

    def epoch_of(self, step: int) -> int:
        """Return the epoch, 1 for the first, of a step, 0 for the first."""
        return step // self.steps_per_epoch + 1

    def visits(self, epoch: int) -> list[Visit]:
        """Return the visits of an epoch, 1 for the first, in order."""
        if epoch not in self._visits:
            order = partition_order(self.seed, epoch, self.trial, len(self._steps)).tolist()
            ends = np.cumsum([self._steps[partition] for partition in order])
            ends += (epoch - 1) * self.steps_per_epoch
            visits = [
                Visit(partition, end - self._steps[partition], end)
                for partition, end in zip(order, ends.tolist(), strict=True)
            ]
            self._visits = {epoch: visits}
        return self._visits[epoch]

    def visit_of(self, step: int) -> Visit:
        """Return the visit that a step belongs to; its partition is the one that is read."""
        return next(each for each in self.visits(self.epoch_of(step)) if step < each.last)

    def rows(self, step: int) -> NDArray[np.int64]:
        """Return the positions of a step's rows in its partition, int64[batch]."""
        feed, local = self._local(step)
        return feed.rows(local)

    def batch(self, step: int) -> Batch:
        """Return what a step sees."""
        feed, local = self._local(step)
        return feed.batch(local)

    def _local(self, step: int) -> tuple[Feed, int]:
        """Return the feed of the step's partition, and the step as that feed counts."""
        partition, first, _ = self.visit_of(step)
        if partition not in self._feeds:
            found = self.partitions[partition]
            self._feeds[partition] = Feed(
                found if isinstance(found, Dataset) else found.open(),
                self.batch_size,
                derive_seed(self.seed, "partition", partition),
                self.drop_last,
            )
        past = (self.epoch_of(step) - 1) * self._steps[partition]
        return self._feeds[partition], past + step - first

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_feeds": {}, "_visits": {}}

    def __fingerprint__(self) -> str:
        facts = (self.batch_size, self.seed, self.trial, self.drop_last)
        return fingerprint((self.partitions, facts))
