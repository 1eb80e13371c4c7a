"""The loss of a step, from the losses of its rows, whatever the micro-batches.

A step minimises (sum of weights x losses of rows) / (sum of weights), both over all rows of the
step. A micro-batch gives its part of the first sum; the step divides by the second. A loss that
returns the mean of its rows counts as that mean for each of them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812  (its usual name)

from gristmill.core.errors import TrainError, UsageError
from gristmill.train.feeds.batch import Batch
from gristmill.train.losses import soft_cross_entropy

RowLoss: TypeAlias = Callable[[Any, Any], Tensor]
"""Takes what the model returned and the targets; returns losses [rows], or their mean."""

IGNORED = -100
"""The target that counts for nothing, as in torch."""


class Objective:
    """What training minimises.

    Args:
        loss: a function of (what the model returned, targets of the batch) that returns one loss
            a row, float[rows], or their mean as one number; a torch loss module; or the name of a
            loss, a key of `OBJECTIVES`.

    Raises:
        UsageError: the name is unknown, or the loss is a torch module that sums.
    """

    def __init__(self, loss: str | RowLoss | nn.Module) -> None:
        if isinstance(loss, str) and loss not in OBJECTIVES:
            raise UsageError(f"unknown loss {loss!r}, expected one of {', '.join(OBJECTIVES)}")
        if isinstance(loss, nn.Module) and getattr(loss, "reduction", None) == "sum":
            raise UsageError(
                f"{loss!r} sums over the rows, so the step would grow with the batch",
                fix="use reduction='none' (or 'mean')",
            )
        self.loss: RowLoss = OBJECTIVES[loss] if isinstance(loss, str) else loss
        self.name = loss if isinstance(loss, str) else _name(loss)

    def __call__(self, output: Any, batch: Batch) -> Tensor:
        """Return the losses of a micro-batch's rows, summed by weight: a scalar.

        Divided by `Batch.weight` of the whole step it is the micro-batch's share of the loss.

        Args:
            output: what the model returned for the micro-batch.
            batch: the micro-batch.

        Raises:
            TrainError: the loss is of another shape, or a mean of rows of unequal weight.
        """
        loss = self._of(output, batch)
        return (
            (loss * batch.weights).sum() if loss.dim() else loss * _equal_weight(batch, self.name)
        )

    def _of(self, output: Any, batch: Batch) -> Tensor:
        """Return the losses [rows], or their mean, in at least float32."""
        loss: object = self.loss(output, batch.targets)
        if not isinstance(loss, Tensor) or tuple(loss.shape) not in ((), (batch.rows,)):
            found = list(loss.shape) if isinstance(loss, Tensor) else type(loss).__qualname__
            raise TrainError(
                f"the loss of a batch of {batch.rows} rows must be one number a row, "
                f"[{batch.rows}], or one in all, found {found}",
                where=f"loss {self.name}",
                fix="average over the other axes: losses.flatten(1).mean(1)",
            )
        return loss.float() if loss.dtype in (torch.bfloat16, torch.float16) else loss


def cross_entropy(logits: Tensor, targets: Tensor) -> Tensor:
    """Return the cross-entropy of each row, float[rows].

    Args:
        logits: float[rows, classes, ...]: the classes are axis 1, as in torch.
        targets: classes int64[rows, ...], -100 for places that don't count, each row being the mean
            of those that do; or probabilities float[rows, classes, ...] (soft labels), each row the
            mean over its places.

    Raises:
        TrainError: the shapes are none of these.
    """
    if targets.is_floating_point():
        _check_shape(targets, logits.shape, "probabilities")
        losses = soft_cross_entropy(logits.movedim(1, -1), targets.movedim(1, -1))
        return losses.flatten(1).mean(1) if losses.dim() > 1 else losses
    _check_shape(targets, torch.Size((*logits.shape[:1], *logits.shape[2:])), "classes")
    losses = F.cross_entropy(logits, targets, reduction="none", ignore_index=IGNORED)
    return losses if losses.dim() == 1 else _mean_of_counted(losses, targets)


def token_cross_entropy(logits: Tensor, tokens: Tensor) -> Tensor:
    """Return the cross-entropy of each text, the mean over its tokens: float[rows].

    Args:
        logits: float[rows, length, vocabulary]: the tokens to choose from are the last axis, as
            language models have it.
        tokens: int64[rows, length]; -100 for places that don't count.

    Raises:
        TrainError: the shapes are others.
    """
    _check_shape(tokens, logits.shape[:-1], "tokens")
    losses = F.cross_entropy(
        logits.flatten(0, -2), tokens.flatten(), reduction="none", ignore_index=IGNORED
    )
    return _mean_of_counted(losses.view(tokens.shape), tokens)


def squared_error(output: Tensor, targets: Tensor) -> Tensor:
    """Return the squared error of each row, the mean over its numbers: float[rows].

    Raises:
        TrainError: output and targets are not of one shape.
    """
    _check_shape(targets, output.shape, "targets")
    losses = (output - targets).square()
    return losses.flatten(1).mean(1) if losses.dim() > 1 else losses


OBJECTIVES: dict[str, RowLoss] = {
    "cross_entropy": cross_entropy,
    "soft_cross_entropy": soft_cross_entropy,
    "token_cross_entropy": token_cross_entropy,
    "squared_error": squared_error,
}
"""Losses by name."""


def _mean_of_counted(losses: Tensor, targets: Tensor) -> Tensor:
    counted = (targets != IGNORED).flatten(1).sum(1).clamp(min=1)
    return losses.flatten(1).sum(1) / counted


def _check_shape(targets: Tensor, expected: torch.Size, what: str) -> None:
    # Broadcasting would answer [rows] against [rows, 1] with a matrix, and no complaint.
    if targets.shape != expected:
        raise TrainError(f"expected {what} of shape {list(expected)}, found {list(targets.shape)}")


def _equal_weight(batch: Batch, name: str) -> float:
    """Return the weight of a batch whose rows weigh the same.

    Raises:
        TrainError: they don't: their mean can't be weighed any more.
    """
    if batch.rows and not bool((batch.weights == batch.weights[0]).all()):
        raise TrainError(
            "rows have weights, but the loss gives one number for all of them",
            where=f"loss {name}",
            fix="return one loss a row: reduction='none'",
        )
    return batch.weight


def _name(loss: RowLoss | nn.Module) -> str:
    named = getattr(loss, "__qualname__", None)
    return str(named) if named else repr(loss)
