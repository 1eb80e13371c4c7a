"""Learning curves: one record an epoch."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec


class EpochRecord(msgspec.Struct, frozen=True, omit_defaults=True):
    """What one epoch gave.

    Attributes:
        epoch: 1 for the first.
        train_loss: mean loss over the training rows, by row weight, as seen while learning.
        validation_loss: mean loss on the validation rows, by row weight; None without any.
        metric: the watched figure on the validation rows; None without any.
        seconds: wall time, of training and validation; None where it was not kept.
    """

    epoch: int
    train_loss: float
    validation_loss: float | None = None
    metric: float | None = None
    seconds: float | None = None


def better(one: EpochRecord, other: EpochRecord, metric: str) -> bool:
    """Say whether epoch `one` beats epoch `other`.

    The watched figure decides, and the validation loss where that is level (F1 on a small
    validation part moves in steps). `metric="loss"` watches the loss alone.
    """
    return _merit(one, metric) > _merit(other, metric)


def best_record(history: Sequence[EpochRecord], metric: str) -> EpochRecord:
    """Return the best epoch, the first of equals; without validation the last."""
    best = history[0]
    for record in history[1:]:
        if record.validation_loss is None or better(record, best, metric):
            best = record
    return best


def stalled(history: Sequence[EpochRecord], metric: str, patience: int | None) -> bool:
    """Say whether the last `patience` epochs improved neither the watched figure nor the loss.

    Both count: on few positives F1 stays at 0 (or at what guessing gives) for some epochs in which
    the loss shows that the model is learning.
    """
    if patience is None or not history:
        return False
    newest = max(best_record(history, metric).epoch, best_record(history, "loss").epoch)
    return len(history) - newest >= patience


def without_seconds(history: Sequence[EpochRecord]) -> list[EpochRecord]:
    """Return the history without wall times, so that equal trainings are equal files."""
    return [msgspec.structs.replace(record, seconds=None) for record in history]


def _merit(record: EpochRecord, metric: str) -> tuple[float, float]:
    loss = record.validation_loss or 0.0
    figure = record.metric or 0.0
    return (-loss, 0.0) if metric == "loss" else (figure, -loss)
