"""Settings of a training run, checked before anything is spent."""

from __future__ import annotations

import msgspec

from gristmill.core.errors import UsageError

METRICS = ("f1", "precision", "recall", "accuracy", "loss")
OPTIMIZERS = ("adamw", "adam", "sgd")
LOSSES = ("soft_cross_entropy",)


class FitSettings(msgspec.Struct, frozen=True):
    """Everything that `fit` is told apart from the model and the data; see `fit` for each."""

    loss: str = "soft_cross_entropy"
    optimizer: str = "adamw"
    lr: float = 1e-3
    weight_decay: float = 0.01
    epochs: int = 10
    batch_size: int = 64
    seed: int = 0
    patience: int | None = None
    clip_norm: float | None = None
    accumulate: int = 1
    device: str = "cpu"
    threads: int = 1
    metric: str = "f1"
    positive: int | None = None

    def check(self) -> FitSettings:
        """Return self if every value makes sense.

        Raises:
            UsageError: one does not; the message names it, the value and what was expected.
        """
        for name in ("epochs", "batch_size", "accumulate", "threads"):
            _want(name, getattr(self, name), getattr(self, name) >= 1, "at least 1")
        _want("lr", self.lr, 0 < self.lr < float("inf"), "above 0")
        decay = self.weight_decay
        _want("weight_decay", decay, 0 <= decay < float("inf"), "0 or more")
        if self.patience is not None:
            _want("patience", self.patience, self.patience >= 1, "at least 1, or None")
        if self.clip_norm is not None:
            _want("clip_norm", self.clip_norm, self.clip_norm > 0, "above 0, or None")
        _want("metric", self.metric, self.metric in METRICS, f"one of {', '.join(METRICS)}")
        return self

    @property
    def maximise(self) -> bool:
        """Whether more of `metric` is better."""
        return self.metric != "loss"


def _want(name: str, value: object, fine: bool, expected: str) -> None:
    if not fine:
        raise UsageError(f"{name} must be {expected}, found {value!r}")
