"""What models are compared by, as sums over rows, so that batches add up."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
import torch
from torch import Tensor

from gristmill.core.errors import TrainError, UsageError
from gristmill.train.feeds.batch import Batch
from gristmill.train.feeds.users_code import users_code
from gristmill.train.jobs.order import Figures

RowValue: TypeAlias = Callable[[Any, Any], Tensor]
"""Takes what the model returned and the targets; returns one number a row, [rows]."""

LOSS = "loss"


class RowMetric:
    """A figure of rows held out: the mean by weight of a number that each row has.

    Args:
        metric: `loss` (less is better), `accuracy`, or a function of (output, targets) that returns
            one number a row, of which more is better.

    Attributes:
        name: of the figure.
        maximise: whether more is better.

    Raises:
        UsageError: the name is unknown.
    """

    def __init__(self, metric: str | RowValue) -> None:
        if isinstance(metric, str) and metric not in (LOSS, *METRICS):
            known = ", ".join((LOSS, *METRICS))
            raise UsageError(
                f"unknown metric {metric!r}, expected one of {known}",
                fix="or hand in a function of (output, targets) that returns one number a row",
            )
        if not isinstance(metric, str) and not callable(metric):
            raise UsageError(f"expected a metric's name or a function, found {metric!r}")
        self.name = metric if isinstance(metric, str) else _name(metric)
        self.maximise = self.name != LOSS
        self._of_rows = None if metric == LOSS else METRICS.get(self.name, metric)

    def __call__(self, output: Any, batch: Batch) -> Figures:
        """Return the sum over a batch's rows, by the metric's name; the loss is summed anyway.

        Raises:
            TrainError: the function fails, or does not return one number a row.
        """
        if self._of_rows is None or isinstance(self._of_rows, str):
            return {}
        with torch.no_grad(), users_code(f"metric {self.name}"):
            found: object = self._of_rows(output, batch.targets)
        if not isinstance(found, Tensor) or tuple(found.shape) != (batch.rows,):
            shape = list(found.shape) if isinstance(found, Tensor) else type(found).__qualname__
            raise TrainError(
                f"the metric of a batch of {batch.rows} rows must be one number a row, "
                f"[{batch.rows}], found {shape}",
                where=f"metric {self.name}",
            )
        return {self.name: np.asarray((found.double() * batch.weights.double()).sum().item())}

    def value(self, figures: Figures) -> float:
        """Return the mean by weight, from the sums over all rows."""
        return float(figures[self.name] / figures["weight"])


def accuracy(output: Tensor, targets: Tensor) -> Tensor:
    """Return for each row whether its largest logit is that of its class: float64[rows].

    Args:
        output: logits float[rows, classes, ...]; with further axes, the share of places per row.
        targets: classes int64[rows, ...], or probabilities like `output`, of which the largest
            counts.
    """
    wanted = targets.argmax(dim=1) if targets.is_floating_point() else targets
    right = (output.argmax(dim=1) == wanted).double()
    return right.flatten(1).mean(1) if right.dim() > 1 else right


METRICS: dict[str, RowValue] = {"accuracy": accuracy}
"""Metrics by name, besides the loss."""


def _name(metric: RowValue) -> str:
    return str(getattr(metric, "__qualname__", type(metric).__qualname__))
