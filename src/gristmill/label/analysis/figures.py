"""The figures of one source."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from gristmill.core.intervals import wilson
from gristmill.label.analysis.counts import Counts, count_right
from gristmill.label.votes import Votes


class SourceFigures(msgspec.Struct, frozen=True):
    """Figures of one source over n rows.

    Attributes:
        source: its name.
        polarity: classes that it ever votes for, in order.
        coverage: share of rows on which it votes.
        overlaps: share of rows on which it and another vote.
        conflicts: share of rows on which it and another vote for different classes.
        alone: share of rows on which only it votes: what would be lost without it.
        redundancy: share of its votes to which another source says the same; None without votes.
        failed: rows on which it raised.
        correct, incorrect: votes on gold rows that are right and wrong; None without gold.
        accuracy, low, high: correct share of its votes on gold rows with its 95 % Wilson interval;
            None where it did not vote on a gold row.
        estimated: mean probability, by the label model, of the classes it votes for; None without
            a model or votes.
        seconds: that it takes for 1,000 rows; None where nobody measured.
    """

    source: str
    polarity: tuple[str, ...]
    coverage: float
    overlaps: float
    conflicts: float
    alone: float
    redundancy: float | None
    failed: int
    correct: int | None = None
    incorrect: int | None = None
    accuracy: float | None = None
    low: float | None = None
    high: float | None = None
    estimated: float | None = None
    seconds: float | None = None


def source_figures(
    votes: Votes,
    counts: Counts,
    truth: NDArray[np.int64],
    probs: NDArray[np.float64] | None,
    seconds: Mapping[str, float],
) -> tuple[SourceFigures, ...]:
    """Return the figures of each source.

    Args:
        votes: int[n, m].
        counts: of these votes.
        truth: int64[n], -1 where unknown.
        probs: float64[n, k] of a label model, or None.
        seconds: source -> seconds for the n rows, where measured.
    """
    right, judged = count_right(votes.matrix, truth)
    voted, rows = counts.said.sum(axis=1), max(len(votes), 1)
    failed, there_is_gold = votes.failed(), bool((truth >= 0).any())
    return tuple(
        SourceFigures(
            source=name,
            polarity=tuple(votes.classes[label] for label in np.flatnonzero(counts.said[index])),
            coverage=float(voted[index] / rows),
            overlaps=float(counts.overlaps[index] / rows),
            conflicts=float(counts.conflicts[index] / rows),
            alone=float((voted[index] - counts.overlaps[index]) / rows),
            redundancy=float(counts.echoed[index] / voted[index]) if voted[index] else None,
            failed=failed.get(name, 0),
            estimated=_estimated(votes.matrix[:, index], probs),
            seconds=seconds[name] * 1000 / rows if name in seconds else None,
            **_on_gold(int(right[index]), int(judged[index]), there_is_gold),
        )
        for index, name in enumerate(votes.names)
    )


def _on_gold(correct: int, said: int, there_is_gold: bool) -> dict[str, Any]:
    if not there_is_gold:
        return {}
    counted: dict[str, Any] = {"correct": correct, "incorrect": said - correct}
    if said:
        interval = wilson(correct, said)
        counted |= {"accuracy": interval.value, "low": interval.low, "high": interval.high}
    return counted


def _estimated(column: NDArray[np.integer], probs: NDArray[np.float64] | None) -> float | None:
    rows = np.flatnonzero(column >= 0)
    if probs is None or not len(rows):
        return None
    return float(probs[rows, column[rows]].mean())
