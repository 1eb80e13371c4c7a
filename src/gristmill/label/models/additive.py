"""Label models whose evidence adds up: a class's log-score is a sum over the answers of sources.

Weighted vote, Dawid-Skene, triplets and matrix completion differ only in how they learn the table
of what each answer adds; reading votes with it, explaining, saving and loading are here.

Legend: n rows, m sources, k classes.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, Self, TypeAlias

import msgspec
import numpy as np
from numpy.typing import NDArray

from gristmill.core.errors import LabelError
from gristmill.core.fingerprint import fingerprint_bytes
from gristmill.label.codes import check_classes
from gristmill.label.explain import Scoring
from gristmill.label.gold import Gold, gold_codes
from gristmill.label.labels import Labels, build_labels
from gristmill.label.votes import Votes, require_votes

Floats: TypeAlias = NDArray[np.float64]
Options: TypeAlias = dict[str, dict[str, float] | list[float] | str | float | bool | int | None]

_FILE = "model.json"
_BLOCK_ROWS = 16_384


@dataclass(frozen=True, slots=True)
class Learned:
    """What a fit found.

    Attributes:
        log_prior: float64[k], log P(class).
        table: float64[m, k + 1, k], what each answer adds to the log-score of each class; the last
            answer is abstain.
        facts: figures worth keeping.
        silent: float64[k], P(class) of a row on which no source votes; None is the class balance.
    """

    log_prior: Floats
    table: Floats
    facts: dict[str, float] = field(default_factory=dict)
    silent: Floats | None = None


class GoldPart(msgspec.Struct, frozen=True):
    """Gold labels that a fit was given for the rows of some votes.

    Attributes:
        votes: fingerprint of those votes.
        rows: positions among them.
        codes: the gold class of each.
    """

    votes: str
    rows: tuple[int, ...]
    codes: tuple[int, ...]

    @classmethod
    def of(cls, votes: Votes, codes: NDArray[np.int64]) -> Self:
        """Make one of int64[n] codes, -1 where there is no gold."""
        told = np.flatnonzero(codes >= 0)
        mark = votes.__fingerprint__() if len(told) else ""
        return cls(mark, tuple(told.tolist()), tuple(codes[told].tolist()))


class Fitted(msgspec.Struct, frozen=True, kw_only=True):
    """A fit, as it is stored.

    Attributes:
        names, fingerprints: of the sources it was fitted on.
        scoring: how votes add up.
        facts: figures worth keeping.
        rows: how many rows it was fitted on.
        gold: gold labels it was given, for each part of the rows.
        findings: what more there is to say of the fit, as JSON holds it.
    """

    names: tuple[str, ...]
    fingerprints: tuple[str, ...]
    scoring: Scoring
    facts: dict[str, float]
    rows: int
    gold: tuple[GoldPart, ...]
    findings: msgspec.Raw = msgspec.Raw(b"null")

    @property
    def log_prior(self) -> Floats:
        """Log P(class), float64[k]."""
        return np.array(self.scoring.log_prior)

    @property
    def table(self) -> Floats:
        """What each answer adds, float64[m, k + 1, k]."""
        return np.array(self.scoring.table)

    def order(self, votes: Votes) -> list[int]:
        """Return the column of the votes that each source of the model is in.

        Raises:
            LabelError: the votes lack a source of the model, or have one that it does not know.
        """
        lacking = [name for name in self.names if name not in votes.names]
        unknown = [name for name in votes.names if name not in self.names]
        if lacking or unknown:
            found = [f"lack {', '.join(lacking)}"] if lacking else []
            found += [f"have {', '.join(unknown)}, unknown to it"] if unknown else []
            raise LabelError(
                f"the model was fitted on {len(self.names)} sources; these votes "
                + " and ".join(found),
                fix="fit again on votes of these sources",
            )
        return [votes.source(name) for name in self.names]

    @property
    def gold_rows(self) -> int:
        """How many gold rows it was given."""
        return sum(len(part.rows) for part in self.gold)

    def gold_of(self, votes: Votes) -> NDArray[np.int64]:
        """Return the gold given to fit, int64[n], if these are votes it was fitted on.

        Row ids alone do not tell: two tables may both count their rows from 0.
        """
        codes = np.full(len(votes), -1, np.int64)
        mark = votes.__fingerprint__() if self.gold_rows else ""
        for part in self.gold:
            if part.rows and part.votes == mark:
                codes[list(part.rows)] = part.codes
        return codes


class _Stored(msgspec.Struct, frozen=True):
    method: str
    classes: tuple[str, ...]
    options: Options
    fitted: Fitted | None


class AdditiveModel(ABC):
    """A label model that adds up what the answers of sources say of each class.

    Subclasses set `method`, their name in words, implement `_options`, and fit `_fitted`.

    Args:
        classes: class names, or how many; two or more.

    Raises:
        LabelError: fewer than two classes, or two of one name.
    """

    method: ClassVar[str]

    def __init__(self, classes: Sequence[str] | int) -> None:
        self.classes = check_classes(classes)
        self._fitted: Fitted | None = None

    @abstractmethod
    def _options(self) -> Options:
        """Return the arguments of the constructor, but for the classes, as JSON holds them."""

    def __repr__(self) -> str:
        state = "not fitted" if self._fitted is None else f"fitted on {self._fitted.rows} rows"
        return f"{type(self).__name__}({len(self.classes)} classes, {state})"

    def __fingerprint__(self) -> str:
        return fingerprint_bytes(self._bytes())

    @property
    def fitted(self) -> Fitted:
        """What was learned.

        Raises:
            LabelError: the model is not fitted.
        """
        if self._fitted is None:
            raise LabelError(f"this {self.method} is not fitted", fix="call fit(votes) first")
        return self._fitted

    def predict_proba(self, votes: Votes) -> Floats:
        """Return P(class | votes), float64[n, k]; where nobody voted, what that says of the class.

        Raises:
            LabelError: the model is not fitted, or the votes are of other sources or classes.
        """
        fitted = self.fitted
        self._check_classes(votes)
        order = fitted.order(votes)
        probs = softmax(add_up(votes.matrix, order, fitted.log_prior, fitted.table))
        silent = fitted.scoring.silent
        probs[~votes.covered] = np.exp(fitted.log_prior) if silent is None else silent
        return probs

    def predict(self, votes: Votes, gold: Gold | None = None, *, uncovered: bool = False) -> Labels:
        """Return labels; rows with gold keep it.

        Args:
            votes: of the sources that the model was fitted on.
            gold: of rows among them. The gold handed to `fit` counts again if these are votes that
                it was handed with; otherwise pass it here.
            uncovered: label the rows that no source voted on, too, by what silence says.

        Raises:
            LabelError: as `predict_proba`, or gold does not fit.
        """
        fitted = self.fitted
        probs = self.predict_proba(votes)
        position = {column: place for place, column in enumerate(fitted.order(votes))}
        rows = [position[column] for column in range(len(votes.names))]
        return build_labels(
            votes,
            probs,
            np.ones(len(votes), bool) if uncovered else votes.covered,
            fitted.gold_of(votes) if gold is None else gold_codes(gold, votes),
            method=self.method,
            model=self.__fingerprint__(),
            trust=fitted.facts.get("trust", 1.0),
            facts={**fitted.facts, "gold_rows": float(fitted.gold_rows)},
            scoring=fitted.scoring.of_sources(rows),
        )

    def without_votes(self) -> Self:
        """Return a model that has learned the same, and has forgotten from what.

        Raises:
            LabelError: the model is not fitted.
        """
        model = type(self)(self.classes, **self._options())
        model._fitted = self.fitted
        return model

    def describe(self) -> dict[str, object]:
        """Return a JSON-able summary: settings, class balance, and figures of the fit."""
        told: dict[str, object] = {
            "kind": self.method,
            "classes": list(self.classes),
            "options": self._options(),
            "fitted": self._fitted is not None,
        }
        if self._fitted is not None:
            told |= {
                "rows": self._fitted.rows,
                "gold_rows": self._fitted.gold_rows,
                "balance": np.exp(self._fitted.log_prior).tolist(),
                "facts": dict(self._fitted.facts),
                "functions": dict(zip(self._fitted.names, self._fitted.fingerprints, strict=True)),
            }
        return told

    def save(self, folder: Path | str) -> None:
        """Write `model.json` into an empty folder."""
        (Path(folder) / _FILE).write_bytes(self._bytes())

    @classmethod
    def load(cls, folder: Path | str) -> Self:
        """Read what `save` wrote.

        Raises:
            LabelError: the file is not there, or is of no such model.
        """
        try:
            stored = msgspec.json.decode((Path(folder) / _FILE).read_bytes(), type=_Stored)
            model = None if stored.method != cls.method else cls(stored.classes, **stored.options)
        except (OSError, msgspec.DecodeError, TypeError) as error:
            raise LabelError(
                f"this is no stored {cls.method}: {error}", where=str(folder)
            ) from error
        if model is None:
            raise LabelError(
                f"expected a stored {cls.method}, found a {stored.method}", where=str(folder)
            )
        model._fitted = stored.fitted
        return model

    def _bytes(self) -> bytes:
        stored = _Stored(self.method, self.classes, self._options(), self._fitted)
        return msgspec.json.encode(stored)

    def _check_classes(self, votes: Votes) -> None:
        require_votes(votes)
        self._check_named(votes.classes)

    def _check_named(self, classes: tuple[str, ...]) -> None:
        if classes != self.classes:
            raise LabelError(
                f"the model is for classes {list(self.classes)}, these votes are on {list(classes)}"
            )


class OneFitModel(AdditiveModel):
    """An additive model that learns from all votes at once; subclasses implement `_learn`."""

    @abstractmethod
    def _learn(self, votes: Votes, gold: NDArray[np.int64]) -> Learned:
        """Learn from votes and gold, int64[n] with -1 for unknown."""

    def fit(self, votes: Votes, gold: Gold | None = None) -> Self:
        """Learn how far each source is to be believed.

        Args:
            votes: int[n, m].
            gold: row id -> class, or a frame with `row_id` and `label`; of any number of rows.

        Raises:
            LabelError: no rows, no source voted at all, the votes have other classes, or gold does
                not fit the votes.
        """
        self._check_classes(votes)
        check_voted(len(votes), bool(votes.covered.any()))
        known = gold_codes(gold, votes)
        learned = self._learn(votes, known)
        self._fitted = Fitted(
            names=votes.names,
            fingerprints=votes.fingerprints,
            scoring=Scoring.of(learned.log_prior, learned.table, learned.silent),
            facts=learned.facts,
            rows=len(votes),
            gold=(GoldPart.of(votes, known),),
        )
        return self


def add_up(
    matrix: NDArray[np.integer], order: Sequence[int], log_prior: Floats, table: Floats
) -> Floats:
    """Return the log-score of each class on each row, float64[n, k].

    Args:
        matrix: int[n, m].
        order: the column of each source of the table.
        log_prior: float64[k].
        table: float64[m, k + 1, k].
    """
    silent = log_prior + table[:, -1].sum(axis=0)
    lifts = table[:, :-1] - table[:, -1:]
    scores = np.empty((len(matrix), len(log_prior)))
    for start in range(0, len(matrix), _BLOCK_ROWS):
        votes, block = matrix[start : start + _BLOCK_ROWS], scores[start : start + _BLOCK_ROWS]
        block[:] = silent
        for column, lift in zip(order, lifts, strict=True):
            rows = np.flatnonzero(votes[:, column] >= 0)
            block[rows] += lift[votes[rows, column]]
    return scores


def softmax(scores: Floats) -> Floats:
    """Turn log-scores, float64[n, k], into probabilities, in place."""
    scores -= scores.max(axis=1, keepdims=True, initial=-np.inf)
    np.exp(scores, out=scores)
    scores /= scores.sum(axis=1, keepdims=True)
    return scores


def answers_of(votes: Votes) -> Floats:
    """Count how often each source gave each answer: float64[m, k + 1], abstain last."""
    answers = len(votes.classes) + 1
    counts = [np.bincount(column + 1, minlength=answers) for column in votes.matrix.T]
    return np.roll(np.array(counts, np.float64), -1, axis=1)


def check_voted(rows: int, voted: bool) -> None:
    """Raise `LabelError` if there are no rows, or no source voted on any."""
    if rows == 0:
        raise LabelError("expected votes on at least one row, found none")
    if not voted:
        raise LabelError(
            f"no labelling function voted on any of the {rows} rows",
            fix="look at votes.analyze(): every coverage is 0",
        )
