"""Error buckets: rows by what was predicted and what is true, with examples."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import msgspec
import numpy as np
import polars as pl
from numpy.typing import NDArray

from gristmill.core.intervals import wilson
from gristmill.data.table import ROW_ID, TableLike
from gristmill.label.analysis.answers import Answers, Predicted, Truth, compare
from gristmill.label.analysis.examples import example_rows
from gristmill.label.analysis.printing import lined_up

NO_ANSWER = "(no label)"
_SOURCES_SHOWN = 10


class Bucket(msgspec.Struct, frozen=True):
    """Rows with one predicted and one true class.

    Attributes:
        predicted: class name, or "(no label)".
        truth: class name.
        rows: how many.
        share: of the gold rows, with the 95 % Wilson interval `low` to `high`.
        examples: ids of a few of them, those answered most surely first.
    """

    predicted: str
    truth: str
    rows: int
    share: float
    low: float
    high: float
    examples: tuple[int | str, ...]

    @property
    def right(self) -> bool:
        """Whether the prediction is true."""
        return self.predicted == self.truth


class SourceErrors(msgspec.Struct, frozen=True):
    """Gold rows on which one source is wrong in one way.

    Attributes:
        source: its name.
        voted: class name.
        truth: class name.
        rows: how many.
        votes: how many gold rows it votes for that class on.
        harm: of `rows`, those on which the label is wrong as well.
        examples: ids of a few of them, those with a wrong label first.
    """

    source: str
    voted: str
    truth: str
    rows: int
    votes: int
    harm: int
    examples: tuple[int | str, ...]


@dataclass(frozen=True)
class Buckets:
    """Gold rows by predicted and true class, made by `buckets`.

    Attributes:
        gold_rows: rows with a known class.
        classes: names.
        buckets: those that hold rows: errors first, largest first.
        sources: the errors of each source, most rows first; empty where only predictions are known.
        examples: Polars frame: `row_id` and the shown columns of every example.
    """

    gold_rows: int
    classes: tuple[str, ...]
    buckets: tuple[Bucket, ...]
    sources: tuple[SourceErrors, ...]
    examples: pl.DataFrame
    _answers: Answers

    def __str__(self) -> str:
        right = sum(each.rows for each in self.buckets if each.right)
        if not self.gold_rows:
            return "no gold rows: nothing to compare the labels with"
        head = f"{right:,} of {self.gold_rows:,} gold rows are right ({right / self.gold_rows:.1%})"
        header = ["predicted", "truth", "rows", "share"]
        lines = [
            [each.predicted, each.truth, f"{each.rows:,}", f"{each.share:.1%}"]
            for each in self.buckets
            if not each.right
        ]
        worst = [["source", "votes for", "truth", "rows", "label wrong too"]] + [
            [
                each.source,
                each.voted,
                each.truth,
                f"{each.rows:,} of {each.votes:,}",
                str(each.harm),
            ]
            for each in self.sources[:_SOURCES_SHOWN]
        ]
        tables = [
            line
            for each in ([header, *lines], worst)
            if len(each) > 1
            for line in ("", *lined_up(each))
        ]
        return "\n".join([head, *tables])

    @property
    def frame(self) -> pl.DataFrame:
        """One row per bucket: `predicted`, `truth`, `right`, `rows`, `share`, `low`, `high`."""
        fields = ("predicted", "truth", "right", "rows", "share", "low", "high")
        lines = [{name: getattr(each, name) for name in fields} for each in self.buckets]
        kinds = [pl.String, pl.String, pl.Boolean, pl.Int64, *[pl.Float64] * 3]
        return pl.DataFrame(lines, schema=dict(zip(fields, kinds, strict=True)))

    @property
    def source_frame(self) -> pl.DataFrame:
        """One row per source and kind of error: `source`, `voted`, `truth`, `rows`, `votes`,
        `harm`.
        """
        fields = ("source", "voted", "truth", "rows", "votes", "harm")
        lines = [{name: getattr(each, name) for name in fields} for each in self.sources]
        kinds = [*[pl.String] * 3, *[pl.Int64] * 3]
        return pl.DataFrame(lines, schema=dict(zip(fields, kinds, strict=True)))

    def positions(self, predicted: str, truth: str) -> NDArray[np.int64]:
        """Return the rows of a bucket, int64[n], as places in the input's order.

        Args:
            predicted: class name; "(no label)" for rows without one.
            truth: class name.

        Raises:
            ValueError: there is no such class.
        """
        said = -1 if predicted == NO_ANSWER else self.classes.index(predicted)
        found = self._answers.truth == self.classes.index(truth)
        return np.flatnonzero(found & (self._answers.predicted == said))

    def row_ids(self, predicted: str, truth: str) -> pl.Series:
        """Return the ids of the rows of a bucket."""
        return self._answers.row_ids.gather(self.positions(predicted, truth))

    def cells(self) -> list[list[str]]:
        """Return the buckets as texts, header first, for printing."""
        header = ["predicted", "truth", "rows", "share", "examples"]
        lines = [
            [
                each.predicted,
                each.truth,
                f"{each.rows:,}",
                f"{each.share:.1%} [{each.low:.1%}, {each.high:.1%}]",
                ", ".join(map(str, each.examples)),
            ]
            for each in self.buckets
        ]
        return [header, *lines]

    def describe(self) -> dict[str, object]:
        """Return a JSON-able summary."""
        return {
            "kind": "error buckets",
            "gold_rows": self.gold_rows,
            "classes": list(self.classes),
            "buckets": msgspec.to_builtins(self.buckets),
            "sources": msgspec.to_builtins(self.sources),
        }


def buckets(
    predicted: Predicted,
    gold: Truth,
    table: TableLike | None = None,
    *,
    columns: Sequence[str] | None = None,
    classes: Sequence[str] | int | None = None,
    examples: int = 3,
) -> Buckets:
    """Sort the gold rows by what was predicted and what is true.

    Of `Labels`, rows that carry an expert's label count by what the votes alone say of them, and
    each source's own errors are sorted as well.

    Args:
        predicted: labels, or int[n] classes of any model.
        gold: true classes, by row id or int[n].
        table: the rows, for the text of the examples; matched by `row_id`.
        columns: of the table to show; default: its text columns, or all if there are none.
        classes: names of the classes, where `predicted` is an array.
        examples: rows to show of each bucket.

    Raises:
        LabelError: the two do not fit each other, or the table lacks a column or a row.
    """
    answers = compare(predicted, gold, classes=classes)
    found = _buckets(answers, examples)
    sources = _source_errors(answers, examples)
    ids = [row for bucket in found for row in bucket.examples]
    ids += [row for errors in sources for row in errors.examples]
    return Buckets(
        gold_rows=int((answers.truth >= 0).sum()),
        classes=answers.classes,
        buckets=found,
        sources=sources,
        examples=example_rows(table, ids, columns, answers.row_ids),
        _answers=answers,
    )


def _buckets(answers: Answers, examples: int) -> tuple[Bucket, ...]:
    rows = np.flatnonzero(answers.truth >= 0)
    k = len(answers.classes)
    kinds = answers.truth[rows] * (k + 1) + answers.predicted[rows] + 1
    made = []
    for kind, members in _grouped(kinds, rows):
        truth, said = divmod(kind, k + 1)
        share = wilson(len(members), len(rows))
        made.append(
            Bucket(
                predicted=answers.classes[said - 1] if said else NO_ANSWER,
                truth=answers.classes[truth],
                rows=len(members),
                share=share.value,
                low=share.low,
                high=share.high,
                examples=_first(answers, members, -answers.sureness[members], examples),
            )
        )
    return tuple(sorted(made, key=lambda each: (each.right, -each.rows)))


def _source_errors(answers: Answers, examples: int) -> tuple[SourceErrors, ...]:
    if answers.votes is None:
        return ()
    rows = np.flatnonzero(answers.truth >= 0)
    truth, k = answers.truth[rows], len(answers.classes)
    harmed = answers.predicted != answers.truth
    made = []
    for name, column in zip(answers.votes.names, answers.votes.matrix.T, strict=True):
        said = column[rows].astype(np.int64)
        wrong = (said >= 0) & (said != truth)
        for kind, members in _grouped((said * k + truth)[wrong], rows[wrong]):
            voted, true = divmod(kind, k)
            made.append(
                SourceErrors(
                    source=name,
                    voted=answers.classes[voted],
                    truth=answers.classes[true],
                    rows=len(members),
                    votes=int((said == voted).sum()),
                    harm=int(harmed[members].sum()),
                    examples=_first(answers, members, ~harmed[members], examples),
                )
            )
    return tuple(sorted(made, key=lambda each: (-each.rows, each.source)))


def _grouped(
    kinds: NDArray[np.int64], rows: NDArray[np.int64]
) -> list[tuple[int, NDArray[np.int64]]]:
    order = np.argsort(kinds, kind="stable")
    found, starts = np.unique(kinds[order], return_index=True)
    parts = np.split(rows[order], starts[1:]) if len(found) else []
    return list(zip(found.tolist(), parts, strict=True))


def _first(
    answers: Answers, members: NDArray[np.int64], key: NDArray[np.generic], count: int
) -> tuple[int | str, ...]:
    """Return the ids of the rows with the lowest key; those of one key by id, not by place."""
    ids = answers.row_ids.gather(members)
    order = pl.DataFrame({"key": key.astype(np.float64), ROW_ID: ids}).sort("key", ROW_ID)
    return tuple(order[ROW_ID].head(count).to_list())
