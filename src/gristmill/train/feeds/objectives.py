"""The loss of a step, from the losses of its rows, whatever the micro-batches.

A step minimises (sum of weights x losses of rows) / (sum of weights), both over all rows of the
step. A micro-batch gives its part of the first sum; the step divides by the second. A loss that
returns the mean of its rows counts as that mean for each of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeAlias

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812  (its usual name)

from gristmill.core.errors import TrainError, UsageError
from gristmill.train.feeds.batch import Batch
from gristmill.train.feeds.users_code import told
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
        UsageError: the name is unknown, or the loss is no function, or a torch module that sums.
    """

    def __init__(self, loss: str | RowLoss | nn.Module) -> None:
        if not isinstance(loss, str) and not callable(loss):
            raise UsageError(
                f"expected a loss function of (output, targets), or a name, found {loss!r}",
                fix=f"names: {', '.join(OBJECTIVES)}",
            )
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
            TrainError: the loss is of another shape, or a mean of rows of unequal weight, or raises
                an error of its own.
        """
        loss = self._of(output, batch)
        return (
            (loss * batch.weights).sum() if loss.dim() else loss * _equal_weight(batch, self.name)
        )

    def _of(self, output: Any, batch: Batch) -> Tensor:
        """Return the losses [rows], or their mean, in at least float32."""
        try:
            loss: object = self.loss(output, batch.targets)
        except Exception as error:
            of = f"output {_shape(output)} and targets {_shape(batch.targets)}"
            raise told(f"loss {self.name} of {of}", error) from error
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
    _check_logits(logits, "[rows, classes, ...]", 2)
    if targets.is_floating_point():
        _check_shape(targets, logits.shape, "probabilities")
        losses = soft_cross_entropy(logits.movedim(1, -1), targets.movedim(1, -1))
        return losses.flatten(1).mean(1) if losses.dim() > 1 else losses
    _check_shape(targets, torch.Size((*logits.shape[:1], *logits.shape[2:])), "classes")
    with _classes_told(targets, logits.shape[1]):
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
    _check_logits(logits, "[rows, length, vocabulary]", 3)
    _check_shape(tokens, logits.shape[:-1], "tokens")
    with _classes_told(tokens, logits.shape[-1]):
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


def _check_logits(logits: object, shape: str, axes: int) -> None:
    if not isinstance(logits, Tensor) or logits.dim() < axes or not logits.is_floating_point():
        raise TrainError(
            f"expected logits float{shape} from the model, found {_shape(logits)}",
            fix="let the model return them, or hand in a loss function of your own",
        )


@contextmanager
def _classes_told(targets: Tensor, classes: int) -> Iterator[None]:
    """Say which targets are no classes where torch says that one is."""
    try:
        yield
    except IndexError as error:
        counted = targets[targets != IGNORED]
        raise TrainError(
            f"expected classes 0 to {classes - 1}, as the model has {classes} outputs, found "
            f"{int(counted.min())} to {int(counted.max())}",
            fix=f"number the classes from 0 on; {IGNORED} is for places that don't count",
        ) from error


def _shape(value: object) -> str:
    if isinstance(value, Tensor):
        return f"{str(value.dtype).removeprefix('torch.')}{list(value.shape)}"
    return type(value).__qualname__


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
