"""How models are trained in one search or job: data and settings, all but the model itself."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import numpy as np
from torch import nn
from torch.nn import Parameter
from torch.optim import Optimizer

from gristmill.train.feeds.dataset import Dataset, Subset
from gristmill.train.feeds.feed import Feed
from gristmill.train.feeds.hopping import PartitionedFeed
from gristmill.train.feeds.objectives import Objective, RowLoss
from gristmill.train.jobs.checking import (
    check_numbers,
    check_rows,
    check_stepping,
    check_whole,
)
from gristmill.train.jobs.row_metric import RowMetric
from gristmill.train.jobs.trial_spec import BuildModule, Evaluation, ScheduleFactory, TrialSpec
from gristmill.train.optimizers import OptimizerFactory, make_optimizer
from gristmill.train.settings import FitSettings

SEARCHED = frozenset(
    ("lr", "weight_decay", "batch_size", "micro_batches", "clip_norm", "optimizer", "precision")
)
"""Names of a search space that are settings of the recipe; all others are the model's."""

_EVALUATION_ROWS = 1024


@dataclass(frozen=True, eq=False)
class Recipe:
    """Data and settings that a model is trained with; see `job` for each.

    Raises:
        UsageError: a setting makes no sense.
        TrainError: the data do not make one batch.
    """

    data: Dataset
    loss: str | RowLoss | nn.Module
    optimizer: str | OptimizerFactory = "adamw"
    lr: float = 1e-3
    weight_decay: float = 0.01
    schedule: ScheduleFactory | None = None
    epochs: int = 1
    batch_size: int = 64
    micro_batches: int = 1
    clip_norm: float | None = None
    precision: str = "float32"
    seed: int = 0
    validation: Dataset | None = None
    metric: RowMetric = field(default_factory=lambda: RowMetric("loss"))
    replicas: int = 1
    partitions: int = 1

    def __post_init__(self) -> None:
        check_whole(
            1,
            epochs=self.epochs,
            batch_size=self.batch_size,
            micro_batches=self.micro_batches,
            replicas=self.replicas,
            partitions=self.partitions,
        )
        check_whole(0, seed=self.seed)
        clip_norm = 1 if self.clip_norm is None else self.clip_norm
        check_numbers(lr=self.lr, weight_decay=self.weight_decay, clip_norm=clip_norm)
        FitSettings(lr=self.lr, weight_decay=self.weight_decay).check()
        check_rows(len(self.data), self.batch_size, self.partitions)
        check_stepping(self._optimizer(), self.schedule)

    def with_settings(self, settings: Mapping[str, Any]) -> Recipe:
        """Return a recipe with some settings in place of its own; other names are left out."""
        return replace(self, **{name: each for name, each in settings.items() if name in SEARCHED})

    @property
    def steps_per_epoch(self) -> int:
        """Updates of one pass over the data."""
        return self._feed().steps_per_epoch

    def trial(self, build: BuildModule, number: int = 0) -> TrialSpec:
        """Return the trial that trains what `build` makes.

        Args:
            build: makes the module.
            number: of the trial, which says in what order it visits partitions.

        Raises:
            UsageError: a setting makes no sense.
        """
        feed = self._feed(number)
        return TrialSpec(
            build,
            feed,
            Objective(self.loss),
            self._optimizer(),
            feed.steps_per_epoch * self.epochs,
            self.micro_batches,
            self.seed,
            self.schedule,
            self.clip_norm,
            self._evaluation(feed.steps_per_epoch),
            self.precision,
            self.replicas,
        )

    def _feed(self, trial: int = 0) -> Feed | PartitionedFeed:
        if self.partitions == 1:
            return Feed(self.data, self.batch_size, self.seed)
        parts = np.array_split(np.arange(len(self.data)), self.partitions)
        stay = [Subset(self.data, rows) for rows in parts]
        return PartitionedFeed(stay, self.batch_size, self.seed, trial)

    def _optimizer(self) -> OptimizerFactory:
        if not isinstance(self.optimizer, str):
            return self.optimizer
        return partial(_named_optimizer, self.optimizer, self.lr, self.weight_decay)

    def _evaluation(self, every: int) -> Evaluation | None:
        """Return an evaluation on all rows held out, in the order in which they are."""
        if self.validation is None:
            return None
        rows = len(self.validation)
        feed = Feed(self.validation, min(_EVALUATION_ROWS, max(1, rows)), 0, shuffle=False)
        return Evaluation(feed, math.ceil(rows / feed.batch_size), every, self.metric)


def _named_optimizer(
    name: str, lr: float, weight_decay: float, parameters: Iterable[Parameter]
) -> Optimizer:
    return make_optimizer(name, list(parameters), FitSettings(lr=lr, weight_decay=weight_decay))
