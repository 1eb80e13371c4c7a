"""Traits: what rows of a table may share, each of which a labelling function can test."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
import polars as pl
from numpy.typing import NDArray

from gristmill.label.functions.expressions import keywords, lookup, where
from gristmill.label.functions.function import LabelingFunction

Kind: TypeAlias = Literal["word", "phrase", "length", "value", "range", "missing"]

_WORD = r"\w+(?:['’]\w+)*"
_CHARACTERS_READ = 5_000
_MOST_VALUES = 50
_EDGES = 10
_NOT_NAME = re.compile(r"\W+")


@dataclass(frozen=True, slots=True)
class Trait:
    """Something that a row has or has not.

    Attributes:
        kind: "word" and "phrase" (in a text), "length" (characters of a text, within two ends),
            "value" (of a column), "range" (of a number, within two ends), or "missing".
        column: where.
        value: the word, the phrase or the value; (low, high), both included; None if missing.
    """

    kind: Kind
    column: str
    value: object

    def __str__(self) -> str:
        match self.kind:
            case "word" | "phrase":
                return f"“{self.value}” in {self.column}"
            case "value":
                return f"{self.column} = {self.value}"
            case "missing":
                return f"{self.column} is missing"
        low, high = self._ends
        of = f"{self.column}, characters" if self.kind == "length" else self.column
        return f"{of}: {low:g} to {high:g}"

    @property
    def words(self) -> frozenset[str]:
        """The words of a word or phrase; empty for all else."""
        return frozenset(str(self.value).split() if self.kind in ("word", "phrase") else ())

    def slug(self) -> str:
        """Return a piece of a function's name."""
        match self.kind:
            case "word" | "phrase":
                stem = str(self.value)
            case "value":
                stem = f"{self.column} {self.value}"
            case _:
                stem = f"{self.column} {self.kind}"
        return _NOT_NAME.sub("_", stem.lower())[:40].strip("_") or self.kind

    def function(self, name: str, vote: str | int) -> LabelingFunction:
        """Return the labelling function that votes where a row has the trait."""
        if self.kind in ("word", "phrase"):
            return keywords(name, [str(self.value)], vote, self.column)
        if self.kind == "value" and isinstance(self.value, str):
            return lookup(name, self.column, {self.value: vote})
        return where(name, self._condition(), vote)

    def code(self, name: str, vote: str | int) -> str:
        """Return the Python text that makes that function, ready to be pasted."""
        if self.kind in ("word", "phrase"):
            column = "" if self.column == "text" else f", {self.column!r}"
            return f"keywords({name!r}, [{self.value!r}], {vote!r}{column})"
        column = f"pl.col({self.column!r})"
        match self.kind:
            case "value" if isinstance(self.value, str):
                return f"lookup({name!r}, {self.column!r}, {{{self.value!r}: {vote!r}}})"
            case "value":
                return f"where({name!r}, {column} == {self.value!r}, {vote!r})"
            case "missing":
                return f"where({name!r}, {column}.is_null(), {vote!r})"
        low, high = self._ends
        number = f"{column}.str.len_chars()" if self.kind == "length" else column
        return f"where({name!r}, {number}.is_between({low!r}, {high!r}), {vote!r})"

    @property
    def _ends(self) -> tuple[float, float]:
        low, high = self.value if isinstance(self.value, tuple) else (0, 0)
        return low, high

    def _condition(self) -> pl.Expr:
        column = pl.col(self.column)
        match self.kind:
            case "value":
                return column.eq(pl.lit(self.value))
            case "missing":
                return column.is_null()
        number = column.str.len_chars() if self.kind == "length" else column
        return number.is_between(*self._ends)


@dataclass(frozen=True)
class Holders:
    """Which rows have which traits, as pairs.

    Attributes:
        traits: t of them.
        trait: int64[p], of each pair.
        row: int64[p], of each pair; no pair occurs twice.
        rows: how many rows there are.
    """

    traits: tuple[Trait, ...]
    trait: NDArray[np.int64]
    row: NDArray[np.int64]
    rows: int

    def count(self, chosen: NDArray[np.bool_]) -> NDArray[np.int64]:
        """Count the chosen rows, bool[rows], that have each trait: int64[t]."""
        return np.bincount(self.trait[chosen[self.row]], minlength=len(self.traits))


def find_traits(
    frame: pl.DataFrame, columns: Sequence[str], target: NDArray[np.bool_], least: int
) -> Holders:
    """Return the traits that at least `least` of the target rows have, and all rows that do.

    Words and phrases of two words, in lower case, in columns of text; lengths of texts and numbers
    by ranges between tenths of the rows; values of columns that have at most 50; missing cells.

    Args:
        frame: the rows.
        columns: where to look.
        target: bool[n].
        least: rows of the target.
    """
    traits: list[Trait] = []
    trait, row = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)]
    for name in columns:
        for found, holders in _of_column(frame[name], target, least):
            trait.append(np.full(len(holders), len(traits)))
            row.append(holders)
            traits.append(found)
    return Holders(tuple(traits), np.concatenate(trait), np.concatenate(row), len(frame))


def is_prose(column: pl.Series) -> bool:
    """Say whether a column of text holds sentences rather than values that repeat."""
    if column.dtype != pl.String:
        return False
    spaced = column.str.contains(r"\w\s+\w").mean()
    return column.n_unique() > _MOST_VALUES or float(spaced or 0.0) > 0.5  # type: ignore[arg-type]


def _of_column(
    column: pl.Series, target: NDArray[np.bool_], least: int
) -> Iterator[tuple[Trait, NDArray[np.int64]]]:
    absent = np.flatnonzero(column.is_null().to_numpy())
    if target[absent].sum() >= least:
        yield Trait("missing", column.name, None), absent
    if is_prose(column):
        yield from _words(column, target, least)
        yield from _ranges(column.str.len_chars(), "length", target, least)
    elif column.dtype.is_numeric() and column.n_unique() > _EDGES:
        yield from _ranges(column, "range", target, least)
    elif column.dtype in (pl.String, pl.Categorical, pl.Boolean) or column.dtype.is_integer():
        yield from _values(column, target, least)


def _words(
    column: pl.Series, target: NDArray[np.bool_], least: int
) -> Iterator[tuple[Trait, NDArray[np.int64]]]:
    text = column.str.slice(0, _CHARACTERS_READ).str.to_lowercase()
    tokens = (
        pl.DataFrame({"row": np.arange(len(column)), "term": text.str.extract_all(_WORD)})
        .explode("term")
        .drop_nulls()
    )
    follows = pl.col("row") == pl.col("row").shift(-1)
    phrase = pl.when(follows).then(pl.col("term") + " " + pl.col("term").shift(-1))
    both = pl.concat([tokens, tokens.select("row", phrase.alias("term")).drop_nulls()]).unique()
    frequent = (
        both.filter(pl.Series(target).gather(both["row"]))
        .group_by("term").len().filter(pl.col("len") >= least)
    )  # fmt: skip
    kept = both.join(frequent.select("term"), on="term", how="semi").sort("term", "row")
    terms, starts = np.unique(kept["term"].rle_id().to_numpy(), return_index=True)
    rows = np.split(kept["row"].to_numpy(), starts[1:]) if len(terms) else []
    for term, holders in zip(kept["term"].gather(starts).to_list(), rows, strict=True):
        kind: Kind = "phrase" if " " in term else "word"
        yield Trait(kind, column.name, term), holders


def _values(
    column: pl.Series, target: NDArray[np.bool_], least: int
) -> Iterator[tuple[Trait, NDArray[np.int64]]]:
    plain = column.cast(pl.String) if column.dtype == pl.Categorical else column
    for value in plain.drop_nulls().unique().sort().head(_MOST_VALUES).to_list():
        rows = np.flatnonzero((plain == value).fill_null(value=False).to_numpy())
        if target[rows].sum() >= least:
            yield Trait("value", column.name, value), rows


def _ranges(
    column: pl.Series, kind: Kind, target: NDArray[np.bool_], least: int
) -> Iterator[tuple[Trait, NDArray[np.int64]]]:
    there = column.drop_nulls()
    there = there.drop_nans() if there.dtype.is_float() else there
    numbers = column.cast(pl.Float64).fill_null(float("nan")).to_numpy()
    edges = np.unique(np.quantile(there.to_numpy(), np.linspace(0, 1, _EDGES + 1), method="lower"))
    for first, low in enumerate(edges[:-1]):
        for last in range(first + 1, len(edges)):
            if first == 0 and last == len(edges) - 1:
                continue
            rows = np.flatnonzero((numbers >= low) & (numbers <= edges[last]))
            if target[rows].sum() >= least:
                ends = (low.item(), edges[last].item())
                yield Trait(kind, column.name, ends), rows
