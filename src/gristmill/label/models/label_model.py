"""The label model: weighs sources by how they agree, and by gold where there is gold."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Self

import msgspec
import numpy as np
import polars as pl
from numpy.typing import NDArray

from gristmill.core.errors import LabelError
from gristmill.core.fingerprint import fingerprint, fingerprint_bytes
from gristmill.label.codes import check_classes
from gristmill.label.explain import Scoring
from gristmill.label.gold import Gold, gold_codes
from gristmill.label.labels import Labels, build_labels
from gristmill.label.models import em
from gristmill.label.models.calibration import calibrate, heated
from gristmill.label.models.choice import Choice, choose, options
from gristmill.label.models.duplicates import shares
from gristmill.label.models.model_state import ModelState
from gristmill.label.models.patterns import Patterns
from gristmill.label.models.problem import Belief, Problem
from gristmill.label.votes import Votes

_FILE = "model.json"


class _Stored(msgspec.Struct, frozen=True):
    classes: tuple[str, ...]
    options: dict[str, list[float] | float | bool | int | None]
    state: ModelState | None


class LabelModel:
    """Dawid-Skene with abstention in the emission model, fitted by expectation-maximisation (MAP).

    Each source is described by P(answer | class) over the k classes and abstain. Pseudo-counts say
    that sources are better than chance. Sources that are copies of one another share one weight.
    Gold rows keep their class in the fit and count several times.

    Whether abstaining is evidence, and how much a gold row counts, is chosen by the likelihood of
    gold rows held out (five folds); with fewer than 20 gold rows under a vote abstention is ignored
    and a gold row counts 10 times. The same held-out rows calibrate the probabilities (one
    temperature) and set the trust: accuracy above chance, which scales the weights of weak rows.

    The fit is deterministic and does not depend on the order of rows; it works on the distinct
    patterns of votes, in memory O(votes).

    Args:
        classes: class names, or how many; two or more.
        prior: k probabilities of the classes; default: from gold (Laplace-smoothed), else uniform.
        abstention: whether abstaining is evidence; default: chosen.
        gold_weight: rows a gold row counts for; default: chosen out of 1, 10 and 100.
        accuracy: believed accuracy of a source, were classes balanced; in (1 / k, 1).
        strength: pseudo-rows per row behind that belief; above 0.
        seed: of the folds.

    Raises:
        LabelError: an argument is outside its range.
    """

    def __init__(
        self,
        classes: Sequence[str] | int,
        *,
        prior: Sequence[float] | None = None,
        abstention: bool | None = None,
        gold_weight: float | None = None,
        accuracy: float = 0.7,
        strength: float = 1.0,
        seed: int = 0,
    ) -> None:
        self.classes = check_classes(classes)
        self.prior = _check_prior(prior, len(self.classes))
        self.abstention = abstention
        self.gold_weight = gold_weight
        self.accuracy = accuracy
        self.strength = strength
        self.seed = seed
        self._fitted: ModelState | None = None
        _check_numbers(self)

    def __repr__(self) -> str:
        state = "not fitted" if self._fitted is None else f"fitted on {self._fitted.rows} rows"
        return f"LabelModel({len(self.classes)} classes, {state})"

    def __fingerprint__(self) -> str:
        return fingerprint_bytes(self._bytes())

    @property
    def state(self) -> ModelState:
        """What was learned.

        Raises:
            LabelError: the model is not fitted.
        """
        if self._fitted is None:
            raise LabelError("this label model is not fitted", fix="call fit(votes) first")
        return self._fitted

    def fit(self, votes: Votes, gold: Gold | None = None) -> Self:
        """Learn how far each source is to be believed.

        Args:
            votes: int[n, m] of any number of sources.
            gold: row id -> class, or a frame with `row_id` and `label`; of any number of rows.

        Raises:
            LabelError: no rows, no source voted at all, the votes have other classes, or gold does
                not fit the votes.
        """
        self._check_votes(votes)
        belief = Belief(self.prior, self.accuracy, self.strength)
        known = gold_codes(gold, votes)
        problem = Problem.of(belief, votes.matrix, len(self.classes), known)
        choice = choose(
            options(self.abstention, self.gold_weight),
            problem.predict,
            known,
            votes.covered,
            votes.row_ids.to_list(),
            len(self.classes),
            self.seed,
        )
        self._fitted = _learned(problem, choice, votes)
        return self

    def predict_proba(self, votes: Votes) -> NDArray[np.float64]:
        """Return calibrated P(class | votes), float64[n, k]; the class balance where nobody voted.

        Raises:
            LabelError: the model is not fitted, or the votes are of other sources or classes.
        """
        state = self.state
        self._check_classes(votes)
        matrix = state.columns_of(votes)
        patterns = Patterns.of(matrix, len(self.classes))
        probs, _ = em.classify(patterns, state.emission_logs, state.settings)
        probs = heated(probs, state.temperature)
        silent = (patterns.votes < 0).all(axis=1)
        probs[silent] = state.balance
        return probs[patterns.of_row]

    def predict(self, votes: Votes, gold: Gold | None = None) -> Labels:
        """Return labels; rows with gold keep it.

        The gold handed to `fit` counts again if these are the same votes; otherwise pass `gold`.

        Raises:
            LabelError: as `predict_proba`, or gold does not fit.
        """
        state = self.state
        probs = self.predict_proba(votes)
        known = state.gold_of(votes) if gold is None else gold_codes(gold, votes)
        return build_labels(
            votes,
            probs,
            votes.covered,
            known,
            method="label model",
            model=fingerprint(self),
            trust=state.trust,
            facts=self._facts(),
            scoring=self._scoring(votes),
        )

    @property
    def sources(self) -> pl.DataFrame:
        """What was learned of each source.

        Columns: `source`; `share` (1, less for copies); `copy_of` (names); `accuracy`, the
        estimated P(right | voted).
        """
        state = self.state
        joint = np.exp(state.emission_logs[:, :-1]) * np.array(state.balance)
        right = np.einsum("jyy->j", joint) / joint.sum(axis=(1, 2))
        twins: dict[int, list[str]] = {
            member: [state.names[other] for other in group if other != member]
            for group in state.copies
            for member in group
        }
        return pl.DataFrame(
            {
                "source": state.names,
                "share": state.share,
                "copy_of": [twins.get(index, []) for index in range(len(state.names))],
                "accuracy": right,
            },
            schema_overrides={"copy_of": pl.List(pl.String)},
        )

    def describe(self) -> dict[str, object]:
        """Return a JSON-able summary: settings, what was chosen and why, and each source."""
        if self._fitted is None:
            return {"kind": "label model", "classes": list(self.classes), "fitted": False}
        state = self._fitted
        return {
            "kind": "label model",
            "classes": list(self.classes),
            "fitted": True,
            "rows": state.rows,
            "gold_rows": len(state.gold_rows),
            "balance": list(state.balance),
            "abstention": state.abstention,
            "gold_weight": state.gold_weight,
            "chosen_because": state.reason,
            "temperature": state.temperature,
            "trust": state.trust,
            "rounds": state.rounds,
            "converged": state.converged,
            "sources": self.sources.to_dicts(),
            "functions": dict(zip(state.names, state.fingerprints, strict=True)),
        }

    def save(self, folder: Path) -> None:
        """Write `model.json` into an empty folder."""
        (folder / _FILE).write_bytes(self._bytes())

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read what `save` wrote.

        Raises:
            LabelError: the file is not there, or is no label model.
        """
        try:
            stored = msgspec.json.decode((folder / _FILE).read_bytes(), type=_Stored)
        except (OSError, msgspec.DecodeError) as error:
            raise LabelError(
                f"this is no stored label model: {error}", where=str(folder)
            ) from error
        model = cls(stored.classes, **stored.options)  # type: ignore[arg-type]
        model._fitted = stored.state
        return model

    def _bytes(self) -> bytes:
        settings: dict[str, list[float] | float | bool | int | None] = {
            "prior": None if self.prior is None else self.prior.tolist(),
            "abstention": self.abstention,
            "gold_weight": self.gold_weight,
            "accuracy": self.accuracy,
            "strength": self.strength,
            "seed": self.seed,
        }
        return msgspec.json.encode(_Stored(self.classes, settings, self._fitted))

    def _facts(self) -> Mapping[str, float]:
        state = self.state
        return {
            "trust": state.trust,
            "temperature": state.temperature,
            "gold_rows": float(len(state.gold_rows)),
        }

    def _scoring(self, votes: Votes) -> Scoring:
        """Return how votes add up, with sources in the order of the votes."""
        state = self.state
        table = em.contributions(state.emission_logs, state.settings) / state.temperature
        order = [state.names.index(name) for name in votes.names]
        return Scoring.of(np.log(state.balance) / state.temperature, table[order])

    def _check_votes(self, votes: Votes) -> None:
        self._check_classes(votes)
        if len(votes) == 0:
            raise LabelError("expected votes on at least one row, found none")
        if not votes.covered.any():
            raise LabelError(
                f"no labelling function voted on any of the {len(votes)} rows",
                fix="look at votes.analyze(): every coverage is 0",
            )

    def _check_classes(self, votes: Votes) -> None:
        if votes.classes != self.classes:
            raise LabelError(
                f"the model is for classes {list(self.classes)}, "
                f"these votes are on {list(votes.classes)}"
            )


def _learned(problem: Problem, choice: Choice, votes: Votes) -> ModelState:
    fit, balance = problem.solve(choice.option, problem.gold)
    calibration = calibrate(choice.held_out, problem.gold[choice.rows])
    gold_rows = np.flatnonzero(problem.gold >= 0)
    return ModelState(
        names=votes.names,
        fingerprints=votes.fingerprints,
        balance=tuple(balance.tolist()),
        log_emission=Scoring.of(balance, fit.log_emission).table,
        share=tuple(shares(len(votes.names), problem.copies).tolist()),
        copies=problem.copies,
        abstention=choice.option.abstention,
        gold_weight=choice.option.gold_weight,
        temperature=calibration.temperature,
        trust=calibration.trust,
        reason=choice.reason,
        rounds=len(fit.history),
        converged=fit.converged,
        log_likelihood=fit.history[-1],
        rows=len(votes),
        votes=votes.__fingerprint__(),
        gold_rows=tuple(gold_rows.tolist()),
        gold_codes=tuple(problem.gold[gold_rows].tolist()),
    )


def _check_prior(prior: Sequence[float] | None, classes: int) -> NDArray[np.float64] | None:
    if prior is None:
        return None
    values = np.asarray(prior, np.float64)
    if values.shape != (classes,) or not (values > 0).all() or abs(values.sum() - 1) > 1e-6:
        raise LabelError(
            f"expected a prior of {classes} probabilities above 0 that sum to 1, "
            f"found {list(prior)}"
        )
    return values


def _check_numbers(model: LabelModel) -> None:
    chance = 1 / len(model.classes)
    if not chance < model.accuracy < 1:
        raise LabelError(f"expected accuracy between {chance:g} and 1, found {model.accuracy}")
    if not model.strength > 0:
        raise LabelError(f"expected a strength above 0, found {model.strength}")
    if model.gold_weight is not None and not model.gold_weight > 0:
        raise LabelError(f"expected a gold weight above 0, found {model.gold_weight}")
