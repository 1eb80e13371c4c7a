"""What each source does: how often it votes, how often others agree, and how often it is right."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Self

import msgspec
import numpy as np
import polars as pl
from numpy.typing import NDArray

from gristmill.core.errors import LabelError
from gristmill.core.intervals import wilson
from gristmill.label.gold import Gold, gold_codes
from gristmill.label.models.pairwise import Pairs, count_pairs
from gristmill.label.models.patterns import Patterns
from gristmill.label.votes import Votes

_FILE = "analysis.json"
_SAME = 0.9


class SourceFigures(msgspec.Struct, frozen=True):
    """Figures of one source over n rows.

    Attributes:
        source: its name.
        polarity: classes that it ever votes for, in order.
        coverage: share of rows on which it votes.
        overlaps: share of rows on which it and another vote.
        conflicts: share of rows on which it and another vote for different classes.
        failed: rows on which it raised.
        correct, incorrect: votes on gold rows that are right and wrong; None without gold.
        accuracy, low, high: correct share of its votes on gold rows with its 95 % Wilson interval;
            None where it did not vote on a gold row.
    """

    source: str
    polarity: tuple[str, ...]
    coverage: float
    overlaps: float
    conflicts: float
    failed: int
    correct: int | None = None
    incorrect: int | None = None
    accuracy: float | None = None
    low: float | None = None
    high: float | None = None


class SourcePair(msgspec.Struct, frozen=True):
    """Two sources that nearly always say the same.

    Attributes:
        first, second: their names.
        identity: share of the rows where either votes on which both say the same.
        rows: on which they say the same.
    """

    first: str
    second: str
    identity: float
    rows: int


class Analysis(msgspec.Struct, frozen=True):
    """Figures of all sources, made by `analyze`.

    Attributes:
        rows: n.
        gold_rows: rows with a gold label.
        classes: names.
        coverage: share of rows on which any source votes.
        overlap: share on which two or more do.
        conflict: share on which sources disagree.
        sources: figures of each.
        agreement: m x m, share of the rows where both vote on which they agree; None where they
            never meet.
        alike: pairs that say the same on nine tenths of the rows where either votes: likely copies.
    """

    rows: int
    gold_rows: int
    classes: tuple[str, ...]
    coverage: float
    overlap: float
    conflict: float
    sources: tuple[SourceFigures, ...]
    agreement: tuple[tuple[float | None, ...], ...]
    alike: tuple[SourcePair, ...]

    @property
    def table(self) -> pl.DataFrame:
        """One row per source with the fields of `SourceFigures`; those on gold only if there is."""
        frame = pl.DataFrame(
            [msgspec.structs.asdict(each) for each in self.sources],
            schema_overrides={"polarity": pl.List(pl.String)},
            infer_schema_length=None,
        )
        gold = ["correct", "incorrect", "accuracy", "low", "high"]
        return frame if self.gold_rows else frame.drop(gold)

    def __str__(self) -> str:
        head = (
            f"{self.rows:,} rows: {self.coverage:.1%} covered, {self.overlap:.1%} by two or more, "
            f"{self.conflict:.1%} in conflict"
        )
        header, *lines = self.cells()
        widths = [max(map(len, column)) for column in zip(header, *lines, strict=True)]
        body = [
            "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
            for line in (header, *lines)
        ]
        return "\n".join([head, *body, *self.warnings()])

    def cells(self) -> list[list[str]]:
        """Return the table as texts, header first, for printing."""
        gold = ["correct", "accuracy"] if self.gold_rows else []
        failing = ["failed"] if any(each.failed for each in self.sources) else []
        header = ["source", "votes for", "coverage", "overlaps", "conflicts", *failing, *gold]
        return [header, *(self._line(each, bool(failing)) for each in self.sources)]

    def warnings(self) -> list[str]:
        """Return a sentence for each thing that a person should look at."""
        found = [
            f"{pair.first} and {pair.second} say the same on {pair.identity:.1%} of the rows "
            "where either votes"
            for pair in self.alike
        ]
        idle = [each.source for each in self.sources if not each.polarity]
        found += [f"never vote: {', '.join(idle)}"] if idle else []
        failing = [f"{each.source} ({each.failed})" for each in self.sources if each.failed]
        return found + ([f"failed on some rows: {', '.join(failing)}"] if failing else [])

    def describe(self) -> dict[str, object]:
        """Return a JSON-able summary: everything but the agreement matrix."""
        body: dict[str, object] = msgspec.to_builtins(self)
        del body["agreement"]
        return {"kind": "analysis", **body}

    def save(self, folder: Path) -> None:
        """Write `analysis.json` into an empty folder."""
        (folder / _FILE).write_bytes(msgspec.json.encode(self))

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read what `save` wrote.

        Raises:
            LabelError: the file is not there, or is no analysis.
        """
        try:
            return msgspec.json.decode((folder / _FILE).read_bytes(), type=cls)
        except (OSError, msgspec.DecodeError) as error:
            raise LabelError(f"this is no stored analysis: {error}", where=str(folder)) from error

    def _line(self, each: SourceFigures, failing: bool) -> list[str]:
        shares = [f"{value:.1%}" for value in (each.coverage, each.overlaps, each.conflicts)]
        line = [each.source, " ".join(each.polarity) or "-", *shares]
        line += [str(each.failed)] if failing else []
        if not self.gold_rows:
            return line
        if each.accuracy is None:
            return [*line, "0 of 0", "-"]
        trials = (each.correct or 0) + (each.incorrect or 0)
        interval = f"{each.accuracy:.2f} [{each.low:.2f}, {each.high:.2f}]"
        return [*line, f"{each.correct} of {trials}", interval]


def analyze(votes: Votes, gold: Gold | None = None) -> Analysis:
    """Work out the figures of each source.

    Args:
        votes: int[n, m].
        gold: row id -> class, or a frame with `row_id` and `label`; only votes on gold rows count
            as correct or incorrect.

    Raises:
        LabelError: gold does not fit the votes.
    """
    truth = gold_codes(gold, votes)
    rows, classes = len(votes), len(votes.classes)
    patterns = Patterns.of(votes.matrix, classes)
    counts = patterns.count()
    voted, many, clash = _overlap(patterns.votes)
    pairs = count_pairs(patterns.votes, classes, counts)
    return Analysis(
        rows=rows,
        gold_rows=int((truth >= 0).sum()),
        classes=votes.classes,
        coverage=float(counts @ voted.any(axis=1)) / max(rows, 1),
        overlap=float(counts @ many) / max(rows, 1),
        conflict=float(counts @ clash) / max(rows, 1),
        sources=_figures(votes, patterns, truth, counts),
        agreement=_agreement(pairs),
        alike=_alike(votes.names, pairs),
    )


def _overlap(
    matrix: NDArray[np.integer],
) -> tuple[NDArray[np.bool_], NDArray[np.bool_], NDArray[np.bool_]]:
    """Return who voted, bool[p, m]; where two or more did, bool[p]; where they differ, bool[p]."""
    voted = matrix >= 0
    differs = voted & (matrix != matrix.max(axis=1, keepdims=True, initial=-1))
    return voted, voted.sum(axis=1) > 1, differs.any(axis=1)


def _figures(
    votes: Votes, patterns: Patterns, truth: NDArray[np.int64], counts: NDArray[np.float64]
) -> tuple[SourceFigures, ...]:
    voted, many, clash = _overlap(patterns.votes)
    right = patterns.tally(patterns.count_by_class(truth))[:, :-1]
    correct, said = np.einsum("jyy->j", right), right.sum(axis=(1, 2))
    rows = max(len(votes), 1)
    coverage, overlaps, conflicts = (
        (counts * chosen) @ voted / rows for chosen in (1.0, many, clash)
    )
    failed = votes.failed()
    return tuple(
        SourceFigures(
            source=name,
            polarity=tuple(votes.classes[label] for label in patterns.labels_of(index)),
            coverage=float(coverage[index]),
            overlaps=float(overlaps[index]),
            conflicts=float(conflicts[index]),
            failed=failed.get(name, 0),
            **_on_gold(int(correct[index]), int(said[index]), bool((truth >= 0).any())),
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


def _agreement(pairs: Pairs) -> tuple[tuple[float | None, ...], ...]:
    return tuple(
        tuple(None if np.isnan(value) else float(value) for value in line)
        for line in pairs.agreement
    )


def _alike(names: tuple[str, ...], pairs: Pairs) -> tuple[SourcePair, ...]:
    upper = np.triu(pairs.identity >= _SAME, k=1) & (pairs.agree > 0)
    return tuple(
        SourcePair(names[i], names[j], float(pairs.identity[i, j]), int(pairs.agree[i, j]))
        for i, j in np.argwhere(upper).tolist()
    )
