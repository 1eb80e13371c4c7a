"""Matrix completion: the estimator of Snorkel's LabelModel."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from gristmill.core.errors import LabelError
from gristmill.label.models.additive import Floats, Learned, OneFitModel, Options
from gristmill.label.models.assignment import assign
from gristmill.label.models.balance import Prior, balance_of, check_prior
from gristmill.label.models.together import Together, count_together
from gristmill.label.votes import Votes

_LARGEST_FLOOR = 0.01
_MOMENTUM = 0.9
_SAME_SHARE = 3  # decimals


class MatrixCompletion(OneFitModel):
    """P(vote | class) whose products explain how often votes come together.

    Ratner et al. 2019 (Training Complex Models with Multi-Task Weak Supervision), as Snorkel 0.10
    carries it out. With mu[(j, l), y] = P(source j votes l | class y) and P the diagonal class
    balance, independent sources give E[votes x votes] = mu P mu' off the blocks of one source with
    itself. mu is found by full-batch gradient descent on the squared difference, off those blocks,
    plus that of the marginals mu P 1, from what `precision` says times `scale`. Then mu is cut to
    [floor, 1 - floor], and classes of equal share are permuted so that votes are most often right.
    A vote adds log mu; abstaining adds nothing.

    The counts are exact and sparse: memory O(votes + f^2), where f pairs of a source and a class
    occur, instead of a dense n x m k matrix.

    On purpose not like Snorkel: one or two sources are accepted (pairs then say little, and mu
    stays near what `precision` says); gold counts make a Laplace-smoothed class balance; a balance
    must sum to 1; rows that nobody voted on have no label under any balance; ties are never broken;
    and nothing is drawn at random, where Snorkel's answer depends on a seed.

    Args:
        classes: class names, or how many; two or more.
        prior: k probabilities of the classes (`class_balance` there); "gold" (uniform without
            gold) or "uniform". Gold is used for nothing else.
        precision: believed P(class | vote for it) (`prec_init`), for all or for each source.
        l2: pull of mu to its start, unscaled. It acts twice, as there: as a penalty
            (l2 (mu - start))^2, and as a decay of mu by the optimiser.
        rate: of the gradient steps (`lr`).
        epochs: gradient steps.
        floor: lowest P(vote | class); default min(0.01, 10^-ceil(log10 n)) for n rows (`mu_eps`).
        scale: factor of the start, from 0 to 1. Snorkel draws it, and this is all that its seed
            does; with the same number the probabilities are the same up to its float32.

    Raises:
        LabelError: an argument is outside its range.
    """

    method = "matrix completion"

    def __init__(
        self,
        classes: Sequence[str] | int,
        *,
        prior: Prior = "gold",
        precision: float | Sequence[float] = 0.7,
        l2: float = 0.0,
        rate: float = 0.01,
        epochs: int = 100,
        floor: float | None = None,
        scale: float = 0.5,
    ) -> None:
        super().__init__(classes)
        self.prior = check_prior(prior, len(self.classes), ["gold", "uniform"])
        self.precision = _check_precision(precision)
        self.l2, self.rate, self.epochs = l2, rate, epochs
        self.floor, self.scale = floor, scale
        if not l2 >= 0:
            raise LabelError(f"expected an l2 of 0 or above, found {l2}")
        if not rate > 0:
            raise LabelError(f"expected a rate above 0, found {rate}")
        if epochs < 1:
            raise LabelError(f"expected at least one epoch, found {epochs}")
        if floor is not None and not 0 < floor < 0.5:
            raise LabelError(f"expected a floor between 0 and 0.5, found {floor}")
        if not 0 <= scale <= 1:
            raise LabelError(f"expected a scale from 0 to 1, found {scale}")

    @property
    def conditional(self) -> Floats:
        """P(answer | class), float64[m, k + 1, k], abstain last.

        Raises:
            LabelError: the model is not fitted.
        """
        table = np.exp(self.fitted.table)
        table[:, -1] = np.clip(1 - table[:, :-1].sum(axis=1), 0, 1)
        return np.asarray(table)

    @property
    def sources(self) -> pl.DataFrame:
        """What was learned of each source.

        Columns: `source`; `coverage`, the P(it votes) that the model expects; `accuracy`, its
        P(right | voted) (`get_weights` there divides by the observed coverage instead).

        Raises:
            LabelError: the model is not fitted.
        """
        joint = self.conditional[:, :-1] * np.exp(self.fitted.log_prior)
        voted = joint.sum(axis=(1, 2))
        right = np.einsum("jyy->j", joint)
        names = self.fitted.names
        return pl.DataFrame({"source": names, "coverage": voted, "accuracy": right / voted})

    def _learn(self, votes: Votes, gold: NDArray[np.int64]) -> Learned:
        classes = len(self.classes)
        together = count_together(votes.matrix, classes)
        balance = balance_of(self.prior, gold, classes)
        start = start_of(together, balance, self._per_source(votes.names)[together.source])
        problem = Completion.of(together, balance, start, self.l2)
        mu = problem.descend(self.scale, self.rate, self.epochs)
        floor = self.floor or min(_LARGEST_FLOOR, 10.0 ** -np.ceil(np.log10(len(votes))))
        table = np.full((together.sources, classes + 1, classes), floor)
        table[together.source, together.label] = np.clip(mu, floor, 1 - floor)
        table = table[:, :, matched(table[:, :-1].sum(axis=0), balance)]
        table[:, -1] = 1.0
        return Learned(np.log(balance), np.log(table), {"loss": problem.loss(mu)})

    def _per_source(self, names: Sequence[str]) -> Floats:
        if isinstance(self.precision, float):
            return np.full(len(names), self.precision)
        if len(self.precision) != len(names):
            raise LabelError(
                f"expected a precision for each of {len(names)} sources, found "
                f"{len(self.precision)}"
            )
        return np.array(self.precision)

    def _options(self) -> Options:
        return {
            "prior": self.prior,
            "precision": self.precision,
            "l2": self.l2,
            "rate": self.rate,
            "epochs": self.epochs,
            "floor": self.floor,
            "scale": self.scale,
        }


@dataclass(frozen=True)
class Completion:
    """The loss of matrix completion, and the way down.

    Attributes:
        target: float64[f, f], share of rows on which two votes come together; 0 in the blocks of
            one source with itself.
        seen: float64[f, f], 1 outside those blocks.
        marginal: float64[f], share of rows with the vote.
        balance: float64[k].
        start: float64[f, k], what mu is pulled to; a share of it is where the descent begins.
        l2: pull towards the start, and decay.
    """

    target: Floats
    seen: Floats
    marginal: Floats
    balance: Floats
    start: Floats
    l2: float

    @classmethod
    def of(cls, together: Together, balance: Floats, start: Floats, l2: float) -> Completion:
        """Set up the problem for counts."""
        seen = (together.source[:, None] != together.source).astype(np.float64)
        shares = together.counts / together.rows
        return cls(shares * seen, seen, np.diag(shares), balance, start, l2)

    def loss(self, mu: Floats) -> float:
        """Return the loss of float64[f, k]."""
        off, marginal, pulled = self._residuals(mu)
        return float((off**2).sum() + (marginal**2).sum() + (pulled**2).sum())

    def descend(self, scale: float, rate: float, epochs: int) -> Floats:
        """Return mu, float64[f, k], after gradient steps with momentum 0.9 from scale x start.

        Raises:
            LabelError: the steps lead out of the finite numbers.
        """
        mu, step = scale * self.start, np.zeros_like(self.start)
        with np.errstate(over="ignore", invalid="ignore"):
            for _ in range(epochs):
                step = _MOMENTUM * step + self._gradient(mu) + self.l2 * mu
                mu = mu - rate * step
        if not np.isfinite(mu).all():
            raise LabelError(
                f"the loss is not finite after {epochs} epochs", fix=f"lower rate={rate:g} or l2"
            )
        return mu

    def _residuals(self, mu: Floats) -> tuple[Floats, Floats, Floats]:
        weighted = mu * self.balance
        off = self.target - (weighted @ mu.T) * self.seen
        return off, weighted.sum(axis=1) - self.marginal, self.l2 * (mu - self.start)

    def _gradient(self, mu: Floats) -> Floats:
        off, marginal, pulled = self._residuals(mu)
        gradient: Floats = (2 * marginal[:, None] - 4 * (off @ mu)) * self.balance
        return gradient + 2 * self.l2 * pulled


def start_of(together: Together, balance: Floats, precision: Floats) -> Floats:
    """Return what the precision of each vote, float64[f], says of mu, float64[f, k].

    P(vote | its class) = P(vote) precision / P(class), within [0, 1]; 0 for other classes.
    """
    start = np.zeros((len(together.source), together.classes))
    share = np.diag(together.counts) / together.rows
    hits = np.clip(share * precision / balance[together.label], 0, 1)
    start[np.arange(len(hits)), together.label] = hits
    return start


def matched(votes: Floats, balance: Floats) -> NDArray[np.int64]:
    """Return which column of mu is which class, int64[k].

    Nothing in the loss tells classes of equal share apart; they are those for which votes are
    right most often.

    Args:
        votes: float64[k, k], P(vote | column) summed over sources.
        balance: float64[k].
    """
    columns = np.arange(len(balance))
    shares = np.round(balance, _SAME_SHARE)
    for share in np.unique(shares):
        alike = np.flatnonzero(shares == share)
        columns[alike] = alike[assign(votes[np.ix_(alike, alike)])]
    return columns


def _check_precision(precision: float | Sequence[float]) -> float | list[float]:
    listed = [precision] if isinstance(precision, int | float) else precision
    values = [float(each) for each in listed]
    wrong = [value for value in values if not 0 <= value <= 1]
    if wrong:
        raise LabelError(f"expected precision from 0 to 1, found {wrong[0]:g}")
    return values[0] if isinstance(precision, int | float) else values
