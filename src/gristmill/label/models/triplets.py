"""Accuracies in closed form, from how three sources at a time agree."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal, TypeAlias, get_args

import numpy as np
from numpy.typing import NDArray

from gristmill.core.errors import LabelError
from gristmill.label.models.additive import Floats, Learned, OneFitModel, Options
from gristmill.label.models.balance import Prior, balance_of, check_prior
from gristmill.label.models.together import Together, count_together
from gristmill.label.models.weighted import check_accuracy
from gristmill.label.votes import Votes

Average: TypeAlias = Literal["median", "mean"]
Moments: TypeAlias = Literal["centred", "raw"]

_FEWEST_SOURCES = 3


class Triplets(OneFitModel):
    """The triplet method: no iterations, one pass over the votes.

    If three votes are independent given the class, their pairwise moments are products of what each
    has in common with the class, E[ab] = E[ay] E[by], so that E[ay]^2 = E[ab] E[ac] / E[bc]. The
    sign is that of a source better than chance. A source is in many triplets, whose answers are
    averaged; those whose denominator is 0 are left out. More than two classes are taken one against
    the rest.

    Args:
        classes: class names, or how many; two or more.
        moments: "raw": means of products of votes +1 and -1, abstaining is 0, as published (Fu et
            al. 2020, Fast and Three-rious, algorithm 1); right if accuracy and coverage do not
            depend on the class. Gives each source a P(right | voted) per class. "centred":
            covariances of whether each vote was given; right for any two classes, also for
            sources that vote for one class alone (as Parisi et al. 2014 do with eigenvectors).
            Gives P(vote | class) and P(vote | another class).
        average: over triplets; the median is robust to sources that are not independent.
        prior: k probabilities of the classes; "gold" (Laplace-smoothed counts of gold, uniform
            without gold) or "uniform". Gold is used for nothing else.
        accuracy: of what is in no triplet; in (1 / k, 1).

    Raises:
        LabelError: an argument is outside its range.
    """

    method = "triplet model"

    def __init__(
        self,
        classes: Sequence[str] | int,
        *,
        moments: Moments = "centred",
        average: Average = "median",
        prior: Prior = "gold",
        accuracy: float = 0.7,
    ) -> None:
        super().__init__(classes)
        self.moments = _check_choice("moments", moments, get_args(Moments))
        self.average = _check_choice("average", average, get_args(Average))
        self.prior = check_prior(prior, len(self.classes), ["gold", "uniform"])
        self.accuracy = check_accuracy(accuracy, len(self.classes))

    def _learn(self, votes: Votes, gold: NDArray[np.int64]) -> Learned:
        if len(votes.names) < _FEWEST_SOURCES:
            raise LabelError(
                f"expected {_FEWEST_SOURCES} sources or more to make triplets of, found "
                f"{len(votes.names)}",
                fix="DawidSkene and LabelModel work with fewer",
            )
        classes = len(self.classes)
        together = count_together(votes.matrix, classes)
        balance = balance_of(self.prior, gold, classes)
        table = np.zeros((len(votes.names), classes + 1, classes))
        for label in range(classes):
            if self.moments == "raw":
                self._learn_raw(together, label, table)
            else:
                self._learn_centred(together, label, float(balance[label]), table)
        return Learned(np.log(balance), table)

    def _learn_raw(self, together: Together, label: int, table: Floats) -> None:
        """Fill in, for a class, the log P(a vote is for it, or not | it is so)."""
        moments, met = signed_moments(together, label)
        voted = np.diag(met)
        mean = voted / together.rows
        common = solve(moments, met > 0, self._averaged)
        common = np.where(np.isnan(common), mean * (2 * self.accuracy - 1), common)
        surest = 1 - 1 / (voted + 2)  # no surer than a source can show itself to be
        right = (1 + np.divide(common, mean, out=np.zeros_like(mean), where=voted > 0)) / 2
        right = np.clip(right, 0.5, surest)
        table[:, :-1, label] = np.log(1 - right)[:, None]
        table[:, label, label] = np.log(right)

    def _learn_centred(self, together: Together, label: int, share: float, table: Floats) -> None:
        """Fill in, for a class of some share, log P(vote for it | it) and of it given others."""
        chosen = features_telling(together, label)
        source = together.source[chosen]
        counts = together.counts[np.ix_(chosen, chosen)]
        given = np.diag(counts) / together.rows
        common = solve(
            counts / together.rows - np.outer(given, given),
            source[:, None] != source,
            self._averaged,
        )
        own = together.label[chosen] == label
        given, common, spread = given[own], common[own], (share * (1 - share)) ** 0.5
        believed = given * lift(self.accuracy, len(self.classes), share) * spread
        slope = np.where(np.isnan(common), believed, common) / spread
        rarest = 1 / (together.rows + 2)
        hit = np.clip(given + slope * (1 - share), rarest, 1 - rarest)
        miss = np.clip(given - slope * share, rarest, 1 - rarest)
        table[source[own], label] = np.log(miss)[:, None]
        table[source[own], label, label] = np.log(hit)

    def _averaged(self, estimates: Floats) -> float:
        return float(np.median(estimates) if self.average == "median" else estimates.mean())

    def _options(self) -> Options:
        return {
            "moments": self.moments,
            "average": self.average,
            "prior": self.prior,
            "accuracy": self.accuracy,
        }


def solve(
    moments: Floats, usable: NDArray[np.bool_], averaged: Callable[[Floats], float]
) -> Floats:
    """Return what each variable has in common with the class, float64[f], NaN without a triplet.

    Args:
        moments: float64[f, f], symmetric.
        usable: bool[f, f], pairs that may be in a triplet; the diagonal does not count.
        averaged: of the estimates of a variable's triplets.
    """
    magnitudes = np.abs(moments)
    pairs = np.triu(usable & (magnitudes > 0), 1)
    common = np.full(len(moments), np.nan)
    for variable, row in enumerate(magnitudes):
        fit = usable[variable].copy()
        fit[variable] = False
        first, second = np.nonzero(pairs & fit & fit[:, None])
        if len(first):
            estimates = np.sqrt(row[first] * row[second] / magnitudes[first, second])
            common[variable] = averaged(estimates)
    return common


def signed_moments(together: Together, label: int) -> tuple[Floats, Floats]:
    """Return the mean products of votes for a class (+1) and others (-1), float64[m, m], and the
    rows on which two sources both voted, float64[m, m].
    """
    member = np.zeros((len(together.source), together.sources))
    member[np.arange(len(together.source)), together.source] = 1.0
    signed = np.where(together.label == label, 1.0, -1.0)[:, None] * member
    products = signed.T @ together.counts @ signed
    return products / together.rows, member.T @ together.counts @ member


def features_telling(together: Together, label: int) -> NDArray[np.int64]:
    """Return the votes that tell a class from the rest: those for it; of two classes, all."""
    if together.classes == 2:
        return np.arange(len(together.source))
    return np.flatnonzero(together.label == label)


def lift(accuracy: float, classes: int, share: float) -> float:
    """Return (P(class | vote) - share) / (share (1 - share)) of a source of the given accuracy.

    The accuracy is that under equal classes; odds rise by the same factor under others.
    """
    odds = accuracy * (classes - 1) / (1 - accuracy) * share / (1 - share)
    return (odds / (1 + odds) - share) / (share * (1 - share))


def _check_choice(name: str, value: str, known: Sequence[str]) -> str:
    if value not in known:
        raise LabelError(f"expected {name} out of {', '.join(known)}, found {value!r}")
    return value
