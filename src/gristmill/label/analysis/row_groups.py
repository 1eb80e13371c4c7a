"""Groups of rows by what they share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import msgspec
import numpy as np
import polars as pl
from numpy.typing import NDArray

from gristmill.core.seeds import derive_seed
from gristmill.data.table import ROW_ID
from gristmill.label.analysis.leaning import Leaning, Opinion
from gristmill.label.analysis.trait_choice import Choice, Pick
from gristmill.label.analysis.traits import Trait, find_traits
from gristmill.label.functions.application import apply


class RowGroup(msgspec.Struct, frozen=True):
    """Rows that share a trait.

    Attributes:
        trait: in words: “free prize” in text.
        kind: "word", "phrase", "length", "value", "range" or "missing".
        column: of the table.
        rows: of the kind searched for (uncovered, or in conflict) that have it.
        fresh: those of them that no group before has.
        share: `rows` among all rows of that kind.
        elsewhere: share of the other rows that have it.
        score: z-score of the log-odds ratio when it was picked.
        also: other traits that many of the rows have.
        leaning: the class that rows with the trait lean to, as far as is known.
        suggestion: Python text of a labelling function; None where they lean to no class clearly.
        examples: ids of a few of the rows, those that are `fresh` first.
    """

    trait: str
    kind: str
    column: str
    rows: int
    fresh: int
    share: float
    elsewhere: float
    score: float
    also: tuple[str, ...]
    leaning: Leaning | None
    suggestion: str | None
    examples: tuple[int | str, ...]


@dataclass(frozen=True)
class Search:
    """What to look for, and among what.

    Attributes:
        frame: all n rows.
        columns: where to look.
        target: bool[n], the rows to group.
        other: bool[n], the rows to tell them from.
        opinion: what is known of the class of rows.
        taken: names that a suggested function must not have.
        prefix: what its name begins with.
        groups: how many to find at most.
        least: rows that a group must have.
        examples: rows to show of each.
        sample: rows of either kind that are searched; groups are counted on all.
        seed: of the sample.
    """

    frame: pl.DataFrame
    columns: Sequence[str]
    target: NDArray[np.bool_]
    other: NDArray[np.bool_]
    opinion: Opinion
    taken: Sequence[str]
    prefix: str
    groups: int
    least: int
    examples: int
    sample: int
    seed: int

    def run(self) -> tuple[tuple[RowGroup, ...], int]:
        """Return the groups, and how many target rows are in none."""
        picks = self._picks()
        members = self._members([pick.trait for pick in picks])
        left = self.target.copy()
        groups: list[RowGroup] = []
        for pick, has in zip(picks, members, strict=True):
            group = self._group(pick, has, left, [group.suggestion for group in groups])
            if group.fresh >= self.least:
                groups.append(group)
                left &= ~has
        return tuple(groups), int(left.sum())

    def _picks(self) -> list[Pick]:
        """Pick traits on the sample, which has all that is known of classes as well."""
        known = self.opinion.truth >= 0
        parts = [self._sampled(chosen) for chosen in (self.target, self.other, known)]
        rows = np.unique(np.concatenate(parts))
        target = self.target[rows]
        # A sample has its share of the rows that a group must have.
        least = max(2, round(self.least * target.sum() / max(self.target.sum(), 1)))
        holders = find_traits(self.frame.select(self.columns)[rows], self.columns, target, least)
        margins = self.opinion.margins(holders, rows)
        return Choice(holders, target, self.other[rows], margins, self.groups, least).picks()

    def _sampled(self, chosen: NDArray[np.bool_]) -> NDArray[np.int64]:
        rows = np.flatnonzero(chosen)
        if len(rows) <= self.sample:
            return rows
        # In the order of ids, so that which rows are drawn does not depend on that of the table.
        by_id = rows[self.frame[ROW_ID].gather(rows).arg_sort().to_numpy()]
        draw = np.random.default_rng(derive_seed(self.seed, "row groups"))
        return np.asarray(by_id[draw.choice(len(by_id), self.sample, replace=False)])

    def _members(self, traits: Sequence[Trait]) -> NDArray[np.bool_]:
        """Return bool[traits, n]: where the function that tests a trait would vote."""
        if not traits:
            return np.zeros((0, self.frame.height), bool)
        functions = [trait.function(f"trait_{at}", 0) for at, trait in enumerate(traits)]
        used = list(dict.fromkeys(trait.column for trait in traits))
        answers: NDArray[np.bool_] = (
            apply(functions, self.frame.select(ROW_ID, *used), classes=2).matrix.T >= 0
        )
        return answers

    def _group(
        self,
        pick: Pick,
        has: NDArray[np.bool_],
        left: NDArray[np.bool_],
        said: Sequence[str | None],
    ) -> RowGroup:
        rows, fresh, trait = has & self.target, has & left, pick.trait
        leaning = self.opinion.of(has, rows)
        suggestion = None
        if leaning is not None and leaning.clear:
            suggestion = trait.code(self._name(trait, said), leaning.label)
        return RowGroup(
            trait=str(trait),
            kind=trait.kind,
            column=trait.column,
            rows=int(rows.sum()),
            fresh=int(fresh.sum()),
            share=float(rows.sum() / max(self.target.sum(), 1)),
            elsewhere=float((has & self.other).sum() / max(self.other.sum(), 1)),
            score=pick.score,
            also=pick.also,
            leaning=leaning,
            suggestion=suggestion,
            examples=self._first(fresh),
        )

    def _name(self, trait: Trait, said: Sequence[str | None]) -> str:
        stem = name = f"{self.prefix}_{trait.slug()}"
        count = 1
        while name in self.taken or any(text and f"({name!r}," in text for text in said):
            count += 1
            name = f"{stem}_{count}"
        return name

    def _first(self, chosen: NDArray[np.bool_]) -> tuple[int | str, ...]:
        ids = self.frame[ROW_ID].gather(np.flatnonzero(chosen))
        return tuple(ids.sort().head(self.examples).to_list())
