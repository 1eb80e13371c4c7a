"""How good answers and sources are on each slice."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import msgspec
import numpy as np
import polars as pl
from numpy.typing import NDArray

from gristmill.core.errors import LabelError
from gristmill.core.intervals import Interval, wilson
from gristmill.core.metrics import score_binary
from gristmill.data.table import ROW_ID
from gristmill.label.analysis.answers import Answers, Predicted, Truth, compare, true_classes
from gristmill.label.analysis.counts import count_right
from gristmill.label.analysis.examples import aligned
from gristmill.label.slices.slicing_function import OVERALL
from gristmill.label.votes import Votes

Estimate = tuple[float, float, float]
"""A figure and the ends of its 95 % interval; all None where there is nothing to judge by."""


class SliceScore(msgspec.Struct, frozen=True):
    """How good answers are on one slice.

    Attributes:
        slice: its name; "overall" is all rows.
        rows: rows of the slice whose class is known.
        answered: those of them that have an answer; the figures below are of these alone.
        accuracy: share that is right, with its 95 % Wilson interval `low` to `high`.
        difference: accuracy less that of all answered rows outside of the slice, with the 95 %
            interval `difference_low` to `difference_high` (Newcombe 1998, method 10).
        precision, recall, f1: of the positive class, each (value, low, high), where there is one:
            Wilson intervals; that of F1 follows from the share of true positives among all rows
            that are positive or said to be, of which it is a monotone function.
    """

    slice: str
    rows: int
    answered: int
    accuracy: float | None
    low: float | None
    high: float | None
    difference: float | None = None
    difference_low: float | None = None
    difference_high: float | None = None
    precision: Estimate | None = None
    recall: Estimate | None = None
    f1: Estimate | None = None

    @property
    def worse(self) -> bool:
        """Whether answers are worse here than elsewhere, beyond chance."""
        return self.difference_high is not None and self.difference_high < 0


@dataclass(frozen=True)
class SliceScores:
    """Figures of all slices, made by `score_slices`; "overall" comes first.

    Attributes:
        positive: name of the class that precision, recall and F1 are about, or None.
        scores: of each slice.
    """

    positive: str | None
    scores: tuple[SliceScore, ...]

    def __getitem__(self, name: str) -> SliceScore:
        """Return the figures of a slice by its name."""
        found = next((each for each in self.scores if each.slice == name), None)
        if found is None:
            raise LabelError(
                f"no slice {name!r}; there are {', '.join(each.slice for each in self.scores)}"
            )
        return found

    @property
    def frame(self) -> pl.DataFrame:
        """One row per slice with the fields of `SliceScore`; an interval's ends in columns
        `f1_low` and `f1_high`.
        """
        return pl.DataFrame([_flat(each) for each in self.scores], infer_schema_length=None)

    def __str__(self) -> str:
        header, *lines = self.cells()
        widths = [max(map(len, column)) for column in zip(header, *lines, strict=True)]
        return "\n".join(
            "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
            for line in (header, *lines)
        )

    def cells(self) -> list[list[str]]:
        """Return the table as texts, header first, for printing; `*` marks what is worse than the
        rest beyond chance.
        """
        f1 = [f"F1 of {self.positive}"] if self.positive else []
        header = ["slice", "rows", "answered", "accuracy", "against the rest", *f1]
        return [header, *(self._line(each) for each in self.scores)]

    def describe(self) -> dict[str, object]:
        """Return a JSON-able summary."""
        return {
            "kind": "slice scores",
            "positive": self.positive,
            "slices": msgspec.to_builtins(self.scores),
        }

    def _line(self, each: SliceScore) -> list[str]:
        gap = "-" if each.difference is None else f"{each.difference:+.3f}{' *' * each.worse}"
        line = [
            each.slice,
            f"{each.rows:,}",
            f"{each.answered:,}",
            _shown(each.accuracy, each.low, each.high),
            gap,
        ]
        return [*line, _shown(*(each.f1 or (None,) * 3))] if self.positive else line


def score_slices(
    predicted: Predicted,
    gold: Truth,
    slices: pl.DataFrame,
    *,
    classes: Sequence[str] | int | None = None,
    positive: int | str | None = None,
) -> SliceScores:
    """Score answers on all rows and on each slice, with intervals.

    Rows of unknown class count nowhere; rows without an answer (-1) count in `rows` alone.

    Args:
        predicted: labels, or int[n] classes of any model. Of labels, rows that carry an expert's
            label count by what the votes alone say of them.
        gold: true classes, by row id or int[n].
        slices: what `slice_members` returned: `row_id` and a column of bool per slice.
        classes: names of the classes, where `predicted` is an array.
        positive: class (index or name) for precision, recall and F1; default: the second of two
            classes, none if there are more.

    Raises:
        LabelError: the three do not fit each other, or the positive class is none.
    """
    ids = slices[ROW_ID] if _is_slices(slices) else None
    answers = compare(predicted, gold, classes=classes, row_ids=ids)
    code = _positive(positive, answers.classes)
    known = answers.truth >= 0
    members = list(_members(slices, answers.row_ids))
    scores = [_score(OVERALL, answers, known, code)]
    scores += [_score(name, answers, known & inside, code, known) for name, inside in members]
    return SliceScores(None if code is None else answers.classes[code], tuple(scores))


def source_slices(votes: Votes, gold: Truth, slices: pl.DataFrame) -> pl.DataFrame:
    """Return how each source does on each slice.

    Args:
        votes: int[n, m].
        gold: true classes, by row id or int[n].
        slices: what `slice_members` returned.

    Returns:
        Polars frame with a row per slice ("overall" first) and source: `slice`, `source`, `rows`
        (of the slice), `coverage` (share it votes on), `judged` (its votes on gold rows),
        `correct`, `accuracy` with its 95 % Wilson interval `low`, `high` (null if none is judged).

    Raises:
        LabelError: gold or the slices do not fit the votes.
    """
    truth = true_classes(gold, votes)
    everywhere = (OVERALL, np.ones(len(votes), bool))
    lines = [
        line
        for name, inside in (everywhere, *_members(slices, votes.row_ids))
        for line in _of_sources(name, np.flatnonzero(inside), votes, truth)
    ]
    return pl.DataFrame(lines, schema=_SOURCE_SCHEMA)


_SOURCE_SCHEMA = {
    "slice": pl.String,
    "source": pl.String,
    "rows": pl.Int64,
    "coverage": pl.Float64,
    "judged": pl.Int64,
    "correct": pl.Int64,
    "accuracy": pl.Float64,
    "low": pl.Float64,
    "high": pl.Float64,
}


def _of_sources(
    name: str, rows: NDArray[np.int64], votes: Votes, truth: NDArray[np.int64]
) -> Iterator[dict[str, object]]:
    matrix = votes.matrix[rows]
    right, judged = count_right(matrix, truth[rows])
    voted = (matrix >= 0).sum(axis=0)
    for at, source in enumerate(votes.names):
        share = wilson(int(right[at]), int(judged[at])) if judged[at] else None
        yield {
            "slice": name,
            "source": source,
            "rows": len(rows),
            "coverage": float(voted[at] / max(len(rows), 1)),
            "judged": int(judged[at]),
            "correct": int(right[at]),
            "accuracy": share and share.value,
            "low": share and share.low,
            "high": share and share.high,
        }


def _members(slices: pl.DataFrame, row_ids: pl.Series) -> Iterator[tuple[str, NDArray[np.bool_]]]:
    if not _is_slices(slices):
        raise LabelError(
            f"expected slices as a frame with {ROW_ID!r} and a column of bool per slice, "
            f"found {type(slices).__name__}",
            fix="make it with slice_members([...], table)",
        )
    frame = aligned(slices, row_ids)
    for name in frame.columns:
        if name != ROW_ID and frame.schema[name] != pl.Boolean:
            raise LabelError(f"slice {name!r} is {frame.schema[name]}, expected Boolean")
    names = [name for name in frame.columns if name != ROW_ID]
    return ((name, frame[name].fill_null(value=False).to_numpy()) for name in names)


def _is_slices(slices: object) -> bool:
    return isinstance(slices, pl.DataFrame) and ROW_ID in slices.columns


def _positive(positive: int | str | None, classes: tuple[str, ...]) -> int | None:
    if positive is None:
        return 1 if len(classes) == 2 else None
    code = classes.index(positive) if positive in classes else positive
    if not isinstance(code, int) or not 0 <= code < len(classes):
        raise LabelError(f"positive class {positive!r} is none of {list(classes)}")
    return code


def _score(
    name: str,
    answers: Answers,
    rows: NDArray[np.bool_],
    positive: int | None,
    known: NDArray[np.bool_] | None = None,
) -> SliceScore:
    answered = rows & (answers.predicted >= 0)
    count = int(answered.sum())
    if not count:
        return SliceScore(name, int(rows.sum()), 0, None, None, None)
    right = answers.predicted == answers.truth
    share = wilson(int((right & answered).sum()), count)
    figures: dict[str, float | Estimate | None] = {}
    if known is not None:
        rest = known & ~rows & (answers.predicted >= 0)
        figures |= _difference(share, wilson(int((right & rest).sum()), int(rest.sum())))
    if positive is not None:
        figures |= _of_class(answers.truth[answered], answers.predicted[answered], positive)
    return SliceScore(
        name,
        int(rows.sum()),
        count,
        share.value,
        share.low,
        share.high,
        **figures,  # type: ignore[arg-type]
    )


def _difference(one: Interval, other: Interval) -> dict[str, float | Estimate | None]:
    if math.isnan(other.value):
        return {}
    gap = one.value - other.value
    below = math.hypot(one.value - one.low, other.high - other.value)
    above = math.hypot(one.high - one.value, other.value - other.low)
    return {
        "difference": gap,
        "difference_low": gap - below,
        "difference_high": gap + above,
    }


def _of_class(
    truth: NDArray[np.int64], said: NDArray[np.int64], positive: int
) -> dict[str, float | Estimate | None]:
    scores = score_binary(truth, said, positive)
    hits = int(((truth == positive) & (said == positive)).sum())
    called, there = int((said == positive).sum()), int((truth == positive).sum())
    either = wilson(hits, called + there - hits)
    ends = (2 * either.low / (1 + either.low), 2 * either.high / (1 + either.high))
    return {
        "precision": _estimate(scores.precision, wilson(hits, called)),
        "recall": _estimate(scores.recall, wilson(hits, there)),
        "f1": (scores.f1, *ends) if called + there else None,
    }


def _estimate(value: float, interval: Interval) -> Estimate | None:
    return None if math.isnan(interval.value) else (value, interval.low, interval.high)


def _flat(score: SliceScore) -> dict[str, object]:
    fields = msgspec.structs.asdict(score)
    for name in ("precision", "recall", "f1"):
        value = fields[name] or (None,) * 3
        fields |= dict(zip((name, f"{name}_low", f"{name}_high"), value, strict=True))
    return fields


def _shown(value: float | None, low: float | None, high: float | None) -> str:
    return "-" if value is None else f"{value:.3f} [{low:.3f}, {high:.3f}]"
