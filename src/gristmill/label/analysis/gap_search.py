"""What to write next: uncovered rows, and rows in conflict, by what they share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import msgspec
import numpy as np
import polars as pl
from numpy.typing import ArrayLike, NDArray

from gristmill.core.errors import LabelError
from gristmill.data.table import ROW_ID, TableLike
from gristmill.label.analysis.answers import Truth, true_classes
from gristmill.label.analysis.counts import clashing
from gristmill.label.analysis.examples import aligned, example_rows, text_columns
from gristmill.label.analysis.leaning import Opinion
from gristmill.label.analysis.row_groups import RowGroup, Search
from gristmill.label.votes import Votes


@dataclass(frozen=True)
class RowGroups:
    """Rows of one kind, grouped by what they share; made by `gaps` and `conflict_groups`.

    Attributes:
        kind: "uncovered" or "in conflict".
        rows: how many there are.
        total: rows of the table.
        groups: in the order found, the most telling first.
        rest: rows in no group.
        examples: Polars frame: `row_id` and the shown columns of every example.
    """

    kind: str
    rows: int
    total: int
    groups: tuple[RowGroup, ...]
    rest: int
    examples: pl.DataFrame

    @property
    def frame(self) -> pl.DataFrame:
        """One row per group: the fields of `RowGroup`, those of its leaning beside them."""
        return pl.DataFrame([_flat(group) for group in self.groups], schema=_SCHEMA)

    @property
    def suggestions(self) -> tuple[str, ...]:
        """Labelling functions to paste, as Python text, for the groups that lean clearly."""
        return tuple(group.suggestion for group in self.groups if group.suggestion)

    def __str__(self) -> str:
        head = f"{self.rows:,} of {self.total:,} rows are {self.kind}"
        lines = [
            f"  {group.rows:,} rows ({group.share:.1%}, elsewhere {group.elsewhere:.1%}): "
            f"{group.trait}{_leans(group)}"
            for group in self.groups
        ]
        rest = [f"  {self.rest:,} rows in no group"] if self.rows else []
        paste = ["try:", *(f"  {text}" for text in self.suggestions)] if self.suggestions else []
        return "\n".join([head, *lines, *rest, *paste])

    def cells(self) -> list[list[str]]:
        """Return the groups as texts, header first, for printing."""
        header = ["shared", "rows", "share", "elsewhere", "leans to"]
        lines = [
            [
                group.trait,
                f"{group.rows:,}",
                f"{group.share:.1%}",
                f"{group.elsewhere:.1%}",
                _leans(group).removeprefix(", ") or "-",
            ]
            for group in self.groups
        ]
        return [header, *lines]

    def describe(self) -> dict[str, object]:
        """Return a JSON-able summary."""
        return {
            "kind": f"rows {self.kind}",
            "rows": self.rows,
            "total": self.total,
            "rest": self.rest,
            "groups": msgspec.to_builtins(self.groups),
        }


def gaps(
    votes: Votes,
    table: TableLike,
    *,
    columns: Sequence[str] | None = None,
    gold: Truth | None = None,
    probs: ArrayLike | None = None,
    groups: int = 10,
    least: int = 5,
    examples: int = 3,
    sample: int = 10_000,
    seed: int = 0,
) -> RowGroups:
    """Group the rows that no source covers by what they share and covered rows do not.

    What rows may share are words and phrases of two words, values, ranges of numbers and of the
    lengths of texts, and missing cells. Where classes are known, groups that lean to one clearly
    come first, with a labelling function to paste; then those that are over-represented among
    uncovered rows. Each is picked for the rows that are in no group before.

    Args:
        votes: on the rows.
        table: the rows; matched by `row_id`.
        columns: where to look; default: the columns of text, or all if there are none.
        gold: known classes, for what groups lean to.
        probs: float[n, k], what a model of the rows themselves says (not a label model, which
            knows nothing of rows without votes).
        groups: how many to find at most.
        least: rows that a group must add.
        examples: rows to show of each.
        sample: rows of either kind that are searched; groups are then counted on all rows.
        seed: of the sample.

    Raises:
        LabelError: gold, probabilities or the table do not fit the votes, or a number is below 1.
    """
    covered = votes.covered
    kinds = ("uncovered", ~covered, covered)
    return _grouped(
        kinds, votes, table, columns, gold, probs, (groups, least, examples, sample, seed)
    )


def conflict_groups(
    votes: Votes,
    table: TableLike,
    *,
    columns: Sequence[str] | None = None,
    gold: Truth | None = None,
    probs: ArrayLike | None = None,
    groups: int = 10,
    least: int = 5,
    examples: int = 3,
    sample: int = 10_000,
    seed: int = 0,
) -> RowGroups:
    """Group the rows on which sources disagree, as `gaps` does, against the other covered rows.

    Args and errors are those of `gaps`; `probs` may be a label model's here.
    """
    clash = clashing(votes.matrix)
    kinds = ("in conflict", clash, votes.covered & ~clash)
    return _grouped(
        kinds, votes, table, columns, gold, probs, (groups, least, examples, sample, seed)
    )


def _grouped(
    kinds: tuple[str, NDArray[np.bool_], NDArray[np.bool_]],
    votes: Votes,
    table: TableLike,
    columns: Sequence[str] | None,
    gold: Truth | None,
    probs: ArrayLike | None,
    numbers: tuple[int, int, int, int, int],
) -> RowGroups:
    kind, target, other = kinds
    groups, least, examples, sample, seed = numbers
    if min(groups, least, sample) < 1:
        raise LabelError(f"expected groups, least and sample of 1 or more, found {numbers[:2]}")
    frame = aligned(table, votes.row_ids)
    opinion = Opinion(votes.classes, true_classes(gold, votes), _checked(probs, votes))
    search = Search(
        frame=frame,
        columns=text_columns(frame, columns),
        target=target,
        other=other,
        opinion=opinion,
        taken=votes.names,
        prefix="gap" if kind == "uncovered" else "settle",
        groups=groups,
        least=least,
        examples=examples,
        sample=sample,
        seed=seed,
    )
    found, rest = search.run()
    ids = [row for group in found for row in group.examples]
    shown = example_rows(frame, ids, columns, frame[ROW_ID])
    return RowGroups(kind, int(target.sum()), len(votes), found, rest, shown)


def _checked(probs: ArrayLike | None, votes: Votes) -> NDArray[np.float64] | None:
    if probs is None:
        return None
    array = np.asarray(probs, np.float64)
    wanted = (len(votes), len(votes.classes))
    if array.shape != wanted or not np.isfinite(array).all() or array.min(initial=0.0) < 0:
        raise LabelError(f"expected probabilities of shape {wanted}, found {array.shape}")
    return array


_SCHEMA: dict[str, pl.DataType | type[pl.DataType]] = {
    "trait": pl.String,
    "kind": pl.String,
    "column": pl.String,
    "rows": pl.Int64,
    "fresh": pl.Int64,
    "share": pl.Float64,
    "elsewhere": pl.Float64,
    "score": pl.Float64,
    "also": pl.List(pl.String),
    "leans_to": pl.String,
    "lean_share": pl.Float64,
    "lean_low": pl.Float64,
    "lean_high": pl.Float64,
    "judged": pl.Int64,
    "suggestion": pl.String,
}


def _flat(group: RowGroup) -> dict[str, object]:
    fields = msgspec.structs.asdict(group)
    leaning = fields.pop("leaning")
    del fields["examples"]
    told = (None,) * 5 if leaning is None else (
        leaning.label, leaning.share, leaning.low, leaning.high, leaning.judged
    )  # fmt: skip
    names = ("leans_to", "lean_share", "lean_low", "lean_high", "judged")
    return fields | dict(zip(names, told, strict=True))


def _leans(group: RowGroup) -> str:
    told = group.leaning
    if told is None:
        return ""
    return f", {told.label} {told.share:.2f} [{told.low:.2f}, {told.high:.2f}] by {told.judge}"
