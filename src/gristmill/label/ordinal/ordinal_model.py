"""The label model for ordered classes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Self

import msgspec
import numpy as np
import polars as pl
from numpy.typing import NDArray

from gristmill.core.errors import LabelError
from gristmill.core.fingerprint import fingerprint, fingerprint_bytes
from gristmill.data.table import ROW_ID
from gristmill.label.codes import check_classes
from gristmill.label.explain import Scoring
from gristmill.label.gold import Gold, gold_codes
from gristmill.label.labels import Labels, build_labels
from gristmill.label.models import em
from gristmill.label.models.patterns import Patterns
from gristmill.label.ordinal.grades import median_grade, spread_of, vote_median
from gristmill.label.votes import Votes

_FILE = "ordinal_model.json"
_UNSEEN = 0.5
_SPREAD_ROUNDS = 3
_FIRST_SPREAD = 0.4


class OrdinalState(msgspec.Struct, frozen=True):
    """What was learned; m sources, k classes.

    Attributes:
        names: of the sources.
        balance: k floats, P(class).
        log_emission: m x (k + 1) x k, log P(answer | class), abstain last.
        spread: how much less likely, on the whole, each further step away makes an answer.
        rounds, converged: of the fit.
    """

    names: tuple[str, ...]
    balance: tuple[float, ...]
    log_emission: tuple[tuple[tuple[float, ...], ...], ...]
    spread: float
    rounds: int
    converged: bool


class _Stored(msgspec.Struct, frozen=True):
    classes: tuple[str, ...]
    prior: tuple[float, ...] | None
    abstention: bool
    strength: float
    gold_weight: float
    state: OrdinalState | None


class OrdinalModel:
    """Dawid-Skene (1979) for ordered classes: mistakes fall mostly on neighbours.

    Each source has its own P(answer | class) over the k classes and abstain, so that it may be
    strict, lenient or vague. Its pseudo-counts fall off by the same factor, the spread, with each
    step from the voted class. The spread is learned from all sources together (empirical Bayes),
    and a source is believed to have it until its own votes say otherwise.

    Args:
        classes: names from the lowest to the highest, or how many.
        prior: k probabilities; default: from gold if there is any, else as often as voted for.
        abstention: whether abstaining is evidence.
        strength: pseudo-rows per row behind the belief in the spread, above 0.
        gold_weight: rows a gold row counts for, above 0.

    Raises:
        LabelError: an argument is outside its range.
    """

    def __init__(
        self,
        classes: Sequence[str] | int,
        *,
        prior: Sequence[float] | None = None,
        abstention: bool = False,
        strength: float = 0.5,
        gold_weight: float = 10.0,
    ) -> None:
        self.classes = check_classes(classes)
        self.prior = None if prior is None else tuple(map(float, prior))
        self.abstention, self.strength, self.gold_weight = abstention, strength, gold_weight
        self._fitted: OrdinalState | None = None
        for name in ("strength", "gold_weight"):
            if not getattr(self, name) > 0:
                raise LabelError(f"expected {name} above 0, found {getattr(self, name)}")
        if self.prior is not None:
            _check_prior(self.prior, len(self.classes))

    def __repr__(self) -> str:
        fitted = "not fitted" if self._fitted is None else "fitted"
        return f"OrdinalModel({len(self.classes)} classes, {fitted})"

    def __fingerprint__(self) -> str:
        return fingerprint_bytes(self._bytes())

    @property
    def state(self) -> OrdinalState:
        """What was learned.

        Raises:
            LabelError: the model is not fitted.
        """
        if self._fitted is None:
            raise LabelError("this ordinal model is not fitted", fix="call fit(votes) first")
        return self._fitted

    def fit(self, votes: Votes, gold: Gold | None = None) -> Self:
        """Learn each source's habits.

        Raises:
            LabelError: no source voted, the votes have other classes, or gold does not fit them.
        """
        self._check(votes)
        if not votes.covered.any():
            raise LabelError(f"no source voted on any of the {len(votes)} rows")
        known = gold_codes(gold, votes)
        patterns = Patterns.of(votes.matrix, len(self.classes))
        answers = _answers(patterns)
        balance = self._balance(known, answers)
        evidence = em.Evidence(
            patterns.count(known < 0), self.gold_weight * patterns.count_by_class(known)
        )
        spread, rounds = _FIRST_SPREAD, 0
        for _ in range(_SPREAD_ROUNDS):
            pseudo = ordinal_counts(answers, balance, spread, self.strength)
            fitted = em.fit(patterns, evidence, self._settings(balance, pseudo))
            weights = fitted.posterior * evidence.free[:, None] + evidence.gold
            spread = spread_of(patterns.tally(weights)[:, :-1].sum(axis=0))
            rounds += len(fitted.history)
        self._fitted = OrdinalState(
            votes.names,
            tuple(balance.tolist()),
            tuple(tuple(map(tuple, rows)) for rows in fitted.log_emission.tolist()),
            spread,
            rounds,
            fitted.converged,
        )
        return self

    def predict_proba(self, votes: Votes) -> NDArray[np.float64]:
        """Return P(class | votes), float64[n, k]; the class balance where nobody voted.

        Raises:
            LabelError: the model is not fitted, or the votes are of other sources or classes.
        """
        self._check(votes)
        state = self.state
        if set(votes.names) != set(state.names):
            raise LabelError(
                f"the model was fitted on the sources {', '.join(state.names)}; "
                f"these votes are of {', '.join(votes.names)}"
            )
        order = [votes.names.index(name) for name in state.names]
        patterns = Patterns.of(votes.matrix[:, order], len(self.classes))
        logs = np.array(state.log_emission)
        settings = self._settings(np.array(state.balance), np.zeros_like(logs))
        probs, _ = em.classify(patterns, logs, settings)
        probs[(patterns.votes < 0).all(axis=1)] = state.balance
        return probs[patterns.of_row]

    def predict(self, votes: Votes, gold: Gold | None = None) -> Labels:
        """Return labels, the most probable class of each row; rows with gold keep it.

        Raises:
            LabelError: as `predict_proba`, or gold does not fit.
        """
        state = self.state
        probs = self.predict_proba(votes)
        settings = self._settings(np.array(state.balance), np.zeros_like(state.log_emission))
        table = em.contributions(np.array(state.log_emission), settings)
        order = [state.names.index(name) for name in votes.names]
        return build_labels(
            votes,
            probs,
            votes.covered,
            gold_codes(gold, votes),
            method="ordinal model",
            model=self.__fingerprint__(),
            facts={"spread": state.spread},
            scoring=Scoring.of(np.log(state.balance), table[order]),
        )

    def grades(self, votes: Votes) -> pl.DataFrame:
        """Return what is known of each row's grade.

        Columns: `row_id`; `median` (class index, the grade of least expected absolute error; -1
        where nobody voted); `mean` (of the class indexes); `error` (expected absolute error of the
        median, in steps); `probs` (k floats).

        Raises:
            LabelError: as `predict_proba`.
        """
        probs = self.predict_proba(votes)
        steps = np.arange(len(self.classes))
        middle = median_grade(probs)
        error = (probs * np.abs(steps - middle[:, None])).sum(axis=1)
        return pl.DataFrame(
            {
                ROW_ID: votes.row_ids,
                "median": np.where(votes.covered, middle, -1),
                "mean": probs @ steps,
                "error": error,
                "probs": pl.Series(probs.tolist(), dtype=pl.List(pl.Float64)),
            }
        )

    @property
    def sources(self) -> pl.DataFrame:
        """What was learned of each source, when it votes.

        Columns: `source`; `accuracy`, P(right); `bias`, mean of vote minus class, in steps (above
        0: lenient); `error`, mean absolute distance.
        """
        state = self.state
        joint = np.exp(np.array(state.log_emission)[:, :-1]) * np.array(state.balance)
        joint /= joint.sum(axis=(1, 2), keepdims=True)
        steps = np.arange(len(self.classes))
        away = steps[:, None] - steps[None, :]
        return pl.DataFrame(
            {
                "source": state.names,
                "accuracy": np.einsum("jyy->j", joint),
                "bias": (joint * away).sum(axis=(1, 2)),
                "error": (joint * np.abs(away)).sum(axis=(1, 2)),
            }
        )

    def describe(self) -> dict[str, object]:
        """Return a JSON-able summary."""
        facts: dict[str, object] = {
            "kind": "ordinal model",
            "classes": list(self.classes),
            "fitted": self._fitted is not None,
        }
        if self._fitted is not None:
            facts |= {
                "balance": list(self._fitted.balance),
                "spread": self._fitted.spread,
                "converged": self._fitted.converged,
                "sources": self.sources.to_dicts(),
            }
        return facts

    def save(self, folder: Path) -> None:
        """Write `ordinal_model.json` into an empty folder."""
        (folder / _FILE).write_bytes(self._bytes())

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read what `save` wrote.

        Raises:
            LabelError: the file is not there, or is no ordinal model.
        """
        try:
            stored = msgspec.json.decode((folder / _FILE).read_bytes(), type=_Stored)
        except (OSError, msgspec.DecodeError) as error:
            raise LabelError(
                f"this is no stored ordinal model: {error}", where=str(folder)
            ) from error
        model = cls(
            stored.classes,
            prior=stored.prior,
            abstention=stored.abstention,
            strength=stored.strength,
            gold_weight=stored.gold_weight,
        )
        model._fitted = stored.state
        return model

    def _bytes(self) -> bytes:
        settings = (self.prior, self.abstention, self.strength, self.gold_weight)
        return msgspec.json.encode(_Stored(self.classes, *settings, self._fitted))

    def _check(self, votes: Votes) -> None:
        _check_votes(votes, self.classes)

    def _balance(
        self, gold: NDArray[np.int64], answers: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        if self.prior is not None:
            return np.array(self.prior)
        seen = np.bincount(gold[gold >= 0], minlength=len(self.classes))
        counts = (seen if seen.any() else answers[:, :-1].sum(axis=0)) + 1.0
        return np.asarray(counts / counts.sum())

    def _settings(self, balance: NDArray[np.float64], pseudo: NDArray[np.float64]) -> em.Settings:
        return em.Settings(np.log(balance), pseudo, np.ones(len(pseudo)), self.abstention)


def ordinal_counts(
    answers: NDArray[np.float64], balance: NDArray[np.float64], spread: float, strength: float
) -> NDArray[np.float64]:
    """Return the pseudo-counts that put mistakes on neighbours: float64[m, k + 1, k].

    A vote for class o, cast c times, is believed, as if from `strength` x c further rows, to mean
    class y in proportion to the balance times spread to the power of abs(o - y); abstaining says
    nothing.

    Args:
        answers: float64[m, k + 1], how often each source gave each answer, abstain last.
        balance: float64[k].
        spread: in (0, 1).
        strength: above 0.
    """
    steps = np.arange(len(balance))
    near = spread ** np.abs(steps[:, None] - steps[None, :])
    given = np.vstack([near, np.ones(len(balance))]) * balance
    given /= given.sum(axis=1, keepdims=True)
    counts: NDArray[np.float64] = strength * (answers + _UNSEEN)[:, :, None] * given[None]
    return counts


class OrdinalMajority:
    """The median vote, the baseline that an ordinal model has to beat.

    Between two middle votes that differ the probability is shared, and there is no label.

    Args:
        classes: names from the lowest to the highest, or how many.
    """

    def __init__(self, classes: Sequence[str] | int) -> None:
        self.classes = check_classes(classes)

    def predict_proba(self, votes: Votes) -> NDArray[np.float64]:
        """Return float64[n, k]; uniform where nobody voted.

        Raises:
            LabelError: the votes have other classes.
        """
        _check_votes(votes, self.classes)
        low, high = vote_median(votes.matrix, len(self.classes))
        probs = np.zeros((len(votes), len(self.classes)))
        rows = np.flatnonzero(votes.covered)
        np.add.at(probs, (rows, low[rows]), 0.5)
        np.add.at(probs, (rows, high[rows]), 0.5)
        probs[~votes.covered] = 1 / len(self.classes)
        return probs

    def predict(self, votes: Votes, gold: Gold | None = None) -> Labels:
        """Return labels; rows with gold keep it.

        Raises:
            LabelError: the votes have other classes, or gold does not fit.
        """
        return build_labels(
            votes,
            self.predict_proba(votes),
            votes.covered,
            gold_codes(gold, votes),
            method="ordinal majority",
            model=fingerprint([type(self).__name__, list(self.classes)]),
        )


def _check_votes(votes: Votes, classes: tuple[str, ...]) -> None:
    if not isinstance(votes, Votes):
        raise LabelError(
            f"expected votes, found {type(votes).__name__}",
            fix="make them with apply(...) or Votes.from_matrix(...)",
        )
    if votes.classes != classes:
        raise LabelError(
            f"the model is for classes {list(classes)}, these votes are on {list(votes.classes)}"
        )


def _answers(patterns: Patterns) -> NDArray[np.float64]:
    weights = np.repeat(patterns.count()[:, None], patterns.classes, axis=1)
    return patterns.tally(weights)[:, :, 0]


def _check_prior(prior: tuple[float, ...], classes: int) -> None:
    if len(prior) != classes or min(prior) <= 0 or abs(sum(prior) - 1) > 1e-6:
        raise LabelError(
            f"expected a prior of {classes} probabilities above 0 that sum to 1, "
            f"found {list(prior)}"
        )
