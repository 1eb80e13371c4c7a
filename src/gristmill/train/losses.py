"""Losses of one row each; the training loop weighs and averages them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, TypeAlias

import torch
from torch import Tensor

from gristmill.core.errors import UsageError
from gristmill.train.settings import LOSSES

Loss: TypeAlias = Callable[[Tensor, Tensor], Tensor]
"""Takes logits float32[batch, k] and targets float32[batch, k]; returns losses float32[batch]."""

Reduction: TypeAlias = Literal["none", "sum", "mean"]

_LEAST_PROBABILITY = 1e-7


def soft_cross_entropy(logits: Tensor, targets: Tensor) -> Tensor:
    """Return the cross-entropy of each row against a distribution over classes.

    The expected cross-entropy under the label model's posterior, which is what training on
    probabilistic labels minimises (Ratner et al. 2016, section 4). Equal to the usual one for
    one-hot targets.
    """
    return -(targets * torch.log_softmax(logits, dim=-1)).sum(dim=-1)


def noise_aware_loss(
    logits: Tensor,
    targets: Tensor,
    *,
    weights: Tensor | None = None,
    class_weights: Tensor | None = None,
    reduction: Reduction = "mean",
) -> Tensor:
    """Return the cross-entropy against probabilities, for training loops of your own.

    For one-hot targets it is what `torch.nn.functional.cross_entropy` returns, but that "mean"
    divides by the number of rows (or by the sum of `weights`), not by that of the class weights.

    Args:
        logits: float[n, k].
        targets: float[n, k], distributions over the classes.
        weights: float[n], how much a row counts; default 1.
        class_weights: float[k], how much the loss on a class counts; default 1.
        reduction: "none" gives float[n], "sum" and "mean" a scalar.

    Raises:
        UsageError: shapes disagree, or the reduction is unknown.
    """
    _check_shapes(logits, targets, weights, class_weights)
    if reduction not in ("none", "sum", "mean"):
        raise UsageError(f"unknown reduction {reduction!r}, expected none, sum or mean")
    losses = soft_cross_entropy(
        logits, targets if class_weights is None else targets * class_weights
    )
    weighted = losses if weights is None else losses * weights
    if reduction == "none":
        return weighted
    total = weighted.sum()
    if reduction == "sum":
        return total
    return total / (losses.numel() if weights is None else weights.sum())


@dataclass(frozen=True, slots=True)
class ClassWeightedCrossEntropy:
    """The cross-entropy with a weight for each class, for `fit(loss=...)`.

    Attributes:
        weights: of the k classes, 0 or more.
    """

    weights: tuple[float, ...]

    def __post_init__(self) -> None:
        if not self.weights or not all(0 <= each < float("inf") for each in self.weights):
            raise UsageError(f"class weights must be numbers of 0 or more, found {self.weights!r}")

    def __call__(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Return losses float[batch] of logits and targets, float[batch, k] both."""
        weights = logits.new_tensor(self.weights)
        return noise_aware_loss(logits, targets, class_weights=weights, reduction="none")


@dataclass(frozen=True, slots=True)
class GeneralizedCrossEntropy:
    """A loss that wrong labels pull at less, for `fit(loss=...)`: (1 - p^q) / q.

    Between the cross-entropy (q towards 0) and the mean absolute error (q = 1); the gradient of a
    row is that of the cross-entropy times p^q, so a row whose label the model finds absurd hardly
    counts (Zhang and Sabuncu 2018, section 3.2). For a soft target it is the expectation over
    the classes.

    Attributes:
        q: above 0, up to 1; 0.7 is the authors' choice.
    """

    q: float = 0.7

    def __post_init__(self) -> None:
        _check_share("q", self.q)

    def __call__(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Return losses float[batch] of logits and targets, float[batch, k] both."""
        powers = torch.exp(self.q * torch.log_softmax(logits, dim=-1))
        return (targets * (1 - powers) / self.q).sum(dim=-1)


@dataclass(frozen=True, slots=True)
class SymmetricCrossEntropy:
    """The cross-entropy plus its reverse, for `fit(loss=...)` (Wang et al. 2019, section 3.2).

    alpha H(t, p) + beta H(p, t), in which log 0 is read as `log_zero`. The reverse term is bounded,
    so it tolerates wrong labels; the first one makes it learn.

    Attributes:
        alpha: weight of the cross-entropy, 0 or more.
        beta: weight of the reverse one, 0 or more.
        log_zero: below 0.
    """

    alpha: float = 0.1
    beta: float = 1.0
    log_zero: float = -4.0

    def __post_init__(self) -> None:
        if min(self.alpha, self.beta) < 0 or self.alpha + self.beta == 0 or self.log_zero >= 0:
            raise UsageError(
                "alpha and beta must be 0 or more, not both 0, and log_zero below 0, "
                f"found {self.alpha!r}, {self.beta!r}, {self.log_zero!r}"
            )

    def __call__(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Return losses float[batch] of logits and targets, float[batch, k] both."""
        logs = torch.log(targets.clamp_min(_LEAST_PROBABILITY)).clamp_min(self.log_zero)
        reverse = -(torch.softmax(logits, dim=-1) * logs).sum(dim=-1)
        return self.alpha * soft_cross_entropy(logits, targets) + self.beta * reverse


@dataclass(frozen=True, slots=True)
class SmoothedCrossEntropy:
    """The cross-entropy against targets mixed with the uniform distribution, for `fit(loss=...)`.

    Label smoothing (Szegedy et al. 2016, section 7); it also tempers labels that are sometimes
    wrong (Lukasik et al. 2020).

    Attributes:
        smoothing: share of the uniform distribution, above 0, up to 1.
    """

    smoothing: float = 0.1

    def __post_init__(self) -> None:
        _check_share("smoothing", self.smoothing)

    def __call__(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Return losses float[batch] of logits and targets, float[batch, k] both."""
        mixed = (1 - self.smoothing) * targets + self.smoothing / targets.shape[-1]
        return soft_cross_entropy(logits, mixed)


def resolve_loss(loss: str | Loss) -> tuple[str, Loss]:
    """Return the name and the function of a loss given by either.

    A loss with settings is named with them, so that another setting is another run.

    Raises:
        UsageError: the name is unknown.
    """
    if not isinstance(loss, str):
        return _name(loss), loss
    if loss not in LOSSES:
        raise UsageError(f"unknown loss {loss!r}, expected one of {', '.join(LOSSES)}")
    return loss, soft_cross_entropy


_OURS = (
    ClassWeightedCrossEntropy,
    GeneralizedCrossEntropy,
    SmoothedCrossEntropy,
    SymmetricCrossEntropy,
)


def _name(loss: Loss) -> str:
    if isinstance(loss, _OURS):
        return repr(loss)
    return str(getattr(loss, "__qualname__", type(loss).__qualname__))


def _check_shapes(
    logits: Tensor, targets: Tensor, weights: Tensor | None, class_weights: Tensor | None
) -> None:
    if logits.dim() != 2 or targets.shape != logits.shape:
        raise UsageError(
            "expected logits and targets of shape [rows, classes], "
            f"found {list(logits.shape)} and {list(targets.shape)}"
        )
    rows, classes = logits.shape
    for name, tensor, length in (
        ("weights", weights, rows),
        ("class_weights", class_weights, classes),
    ):
        if tensor is not None and tuple(tensor.shape) != (length,):
            raise UsageError(f"expected {name} of shape [{length}], found {list(tensor.shape)}")


def _check_share(name: str, value: float) -> None:
    if not 0 < value <= 1:
        raise UsageError(f"{name} must be above 0 and at most 1, found {value!r}")
