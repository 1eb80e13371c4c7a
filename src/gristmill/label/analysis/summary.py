"""What each source does: how often it votes, how often others agree, and how often it is right."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Self, TypeAlias

import msgspec
import polars as pl

from gristmill.core.errors import LabelError
from gristmill.core.fingerprint import fingerprint_bytes
from gristmill.engine.current import chosen_engine
from gristmill.engine.inline import Inline
from gristmill.engine.merge_tree import map_merge
from gristmill.label.analysis.answers import Truth, true_classes
from gristmill.label.analysis.beliefs import Classifies, Judge, believed, model_probs
from gristmill.label.analysis.figures import SourceFigures, Tally
from gristmill.label.analysis.pairs import PairCounts, SourcePair, SourcePairs, source_pairs
from gristmill.label.analysis.printing import fitted_columns, lined_up, source_columns
from gristmill.label.gold import Gold, gold_of_parts
from gristmill.label.vote_parts import VotePart, VoteParts
from gristmill.label.votes import Votes, require_votes

if TYPE_CHECKING:
    from gristmill.engine.protocol import Engine

_FILE = "analysis.json"
_ON_GOLD = ("correct", "incorrect", "accuracy", "low", "high")
_OPTIONAL = ("estimated", "seconds")
_COUNTS = ("failed", "correct", "incorrect")
_SCHEMA: dict[str, pl.DataType | type[pl.DataType]] = {
    **dict.fromkeys(SourceFigures.__struct_fields__, pl.Float64),
    **dict.fromkeys(_COUNTS, pl.Int64),
    "source": pl.String,
    "polarity": pl.List(pl.String),
}
_NOTABLE = 0.2
_PAIRS_TOLD = 5


class _Stored(msgspec.Struct, frozen=True):
    rows: int
    gold_rows: int
    classes: tuple[str, ...]
    coverage: float
    overlap: float
    conflict: float
    sources: tuple[SourceFigures, ...]
    judge: str
    pairs: SourcePairs


class Analysis:
    """Figures of all sources, made by `analyze`.

    What concerns pairs of sources is worked out when it is first asked for, since it costs more
    than all the rest.

    Attributes:
        rows: n.
        gold_rows: rows with a gold label.
        classes: names.
        coverage: share of rows on which any source votes.
        overlap: share on which two or more do.
        conflict: share on which sources disagree.
        sources: figures of each.
        judge: whose word on the class of rows the expected agreement of pairs rests on: "model",
            "gold" or "majority vote".
    """

    def __init__(
        self,
        *,
        rows: int,
        gold_rows: int,
        classes: tuple[str, ...],
        shares: tuple[float, float, float],
        sources: tuple[SourceFigures, ...],
        judge: str,
        pairs: Callable[[], SourcePairs],
    ) -> None:
        self.rows = rows
        self.gold_rows = gold_rows
        self.classes = classes
        self.coverage, self.overlap, self.conflict = shares
        self.sources = sources
        self.judge = judge
        self._pairs = pairs

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Analysis) and self._stored() == other._stored()

    def __hash__(self) -> int:
        return hash((self.rows, self.gold_rows, self.classes, self.sources))

    def __fingerprint__(self) -> str:
        return fingerprint_bytes(msgspec.json.encode(self._stored()))

    def __repr__(self) -> str:
        return f"Analysis({self.rows} rows, {len(self.sources)} sources)"

    @cached_property
    def pairs(self) -> SourcePairs:
        """How sources agree two by two, and more than they would by chance."""
        return self._pairs()

    @property
    def alike(self) -> tuple[SourcePair, ...]:
        """Pairs that say the same on nine tenths of the rows where either votes: likely copies."""
        return self.pairs.alike()

    @property
    def agreement(self) -> tuple[tuple[float | None, ...], ...]:
        """m x m, share of the rows where both vote on which two agree; None if they never meet."""
        return self.pairs.agreement()

    @property
    def table(self) -> pl.DataFrame:
        """One row per source with the fields of `SourceFigures`; those on gold only if there is,
        and `estimated` and `seconds` only where known.
        """
        known = [name for name in _SCHEMA if self._is_known(name)]
        columns = {name: [getattr(each, name) for each in self.sources] for name in known}
        return pl.DataFrame(columns, schema={name: _SCHEMA[name] for name in known})

    @property
    def frame(self) -> pl.DataFrame:
        """`table`, and of each source the other that says the same beyond what both being good
        explains: `partner`, `excess` and `excess_low` (see `SourcePair`); null where no excess is
        more than chance.
        """
        found = self.pairs.partners()
        pairs = [found.get(each.source) for each in self.sources]
        names = [each.source for each in self.sources]
        return self.table.with_columns(
            pl.Series(
                "partner",
                [_other(pair, name) for pair, name in zip(pairs, names, strict=True)],
                dtype=pl.String,
            ),
            pl.Series("excess", [pair and pair.excess for pair in pairs], dtype=pl.Float64),
            pl.Series("excess_low", [pair and pair.low for pair in pairs], dtype=pl.Float64),
        )

    def __str__(self) -> str:
        head = (
            f"{self.rows:,} rows: {self.coverage:.1%} covered, {self.overlap:.1%} by two or more, "
            f"{self.conflict:.1%} in conflict"
        )
        return "\n".join([head, *lined_up(self.cells()), *self.warnings()])

    def cells(self, width: int | None = None) -> list[list[str]]:
        """Return the table as texts, header first, for printing.

        Args:
            width: characters that a line may have, two between columns: long names are cut, and the
                least telling columns left out until it fits. Default: everything.
        """
        columns = source_columns(self.frame)
        chosen = columns if width is None else fitted_columns(columns, width)
        return [list(line) for line in zip(*(each.cells for each in chosen), strict=True)]

    def warnings(self) -> list[str]:
        """Return a sentence for each thing that a person should look at."""
        copies = self.alike
        found = [
            f"{pair.first} and {pair.second} say the same on {pair.identity:.1%} of the rows "
            "where either votes"
            for pair in copies
        ]
        close = [pair for pair in self.pairs if pair.low >= _NOTABLE and pair not in copies]
        close.sort(key=lambda pair: -pair.low)
        found += [
            f"{pair.first} and {pair.second} say the same on {pair.rows:,} rows where "
            f"{pair.expected:,.0f} are expected: they are not independent"
            for pair in close[:_PAIRS_TOLD]
        ]
        idle = [each.source for each in self.sources if not each.polarity]
        found += [f"never vote: {', '.join(idle)}"] if idle else []
        failing = [f"{each.source} ({each.failed})" for each in self.sources if each.failed]
        return found + ([f"failed on some rows: {', '.join(failing)}"] if failing else [])

    def describe(self) -> dict[str, object]:
        """Return a JSON-able summary: the figures, likely copies and correlated pairs."""
        body: dict[str, object] = msgspec.to_builtins(self._stored())
        del body["pairs"]
        partners = {id(pair): pair for pair in self.pairs.partners().values()}
        return {
            "kind": "analysis",
            **body,
            "alike": msgspec.to_builtins(self.alike),
            "correlated": msgspec.to_builtins(list(partners.values())),
        }

    def save(self, folder: Path) -> None:
        """Write `analysis.json` into an empty folder."""
        (folder / _FILE).write_bytes(msgspec.json.encode(self._stored()))

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read what `save` wrote.

        Raises:
            LabelError: the file is not there, or is no analysis.
        """
        try:
            told = msgspec.json.decode((folder / _FILE).read_bytes(), type=_Stored)
        except (OSError, msgspec.DecodeError) as error:
            raise LabelError(f"this is no stored analysis: {error}", where=str(folder)) from error
        return cls(
            rows=told.rows,
            gold_rows=told.gold_rows,
            classes=told.classes,
            shares=(told.coverage, told.overlap, told.conflict),
            sources=told.sources,
            judge=told.judge,
            pairs=lambda: told.pairs,
        )

    def _is_known(self, name: str) -> bool:
        if name in _ON_GOLD:
            return self.gold_rows > 0
        return name not in _OPTIONAL or any(
            getattr(each, name) is not None for each in self.sources
        )

    def _stored(self) -> _Stored:
        return _Stored(
            self.rows,
            self.gold_rows,
            self.classes,
            self.coverage,
            self.overlap,
            self.conflict,
            self.sources,
            self.judge,
            self.pairs,
        )


def analyze(
    votes: Votes,
    gold: Truth | None = None,
    model: Classifies | None = None,
    *,
    seconds: Mapping[str, float] | None = None,
) -> Analysis:
    """Work out the figures of each source.

    Args:
        votes: int[n, m].
        gold: row id -> class, a frame with `row_id` and `label`, or int[n] classes in the order of
            the rows, -1 where unknown; only votes on gold rows count as correct or incorrect.
        model: a fitted label model of any kind; adds the estimated accuracy, and its labels say
            what agreement of two sources is to be expected.
        seconds: source -> seconds that it took for these rows.

    Raises:
        LabelError: gold or the model does not fit the votes.
    """
    require_votes(votes)
    truth = true_classes(gold, votes)
    probs = None if model is None else model_probs(model, votes)
    judge: Judge = "model" if model else "gold" if (truth >= 0).any() else "majority vote"

    def pairs() -> SourcePairs:
        of_row = believed(votes, truth, probs, judge)
        return source_pairs(votes.names, votes.matrix, len(votes.classes), of_row)

    tally = Tally.of(votes, truth, probs)
    return _analysis(votes, tally, judge, pairs, seconds or {})


def analyze_in_parts(
    votes: VoteParts,
    gold: Gold | None = None,
    model: Classifies | None = None,
    *,
    engine: Engine | str | None = None,
) -> Analysis:
    """Work out the figures of each source over votes in parts; those of `analyze`, to rounding.

    Args:
        votes: int[n, m], of which a part is in memory at a time.
        gold: row id -> class, or a frame with `row_id` and `label`.
        model: as `analyze`; travels to workers.
        engine: where parts are counted: an engine, or its name; default is the current engine if
            there is one, else this process.

    Raises:
        LabelError: there are no parts, or gold or the model does not fit the votes.
    """
    told = gold_of_parts(gold, votes)
    judge: Judge = "model" if model else "gold" if told else "majority vote"
    with chosen_engine(engine) as opened:
        counter = _PartCounter(told, model, judge)
        found = map_merge(opened or Inline(), counter, _both, votes)
    if found is None:
        raise LabelError("expected votes on at least one row, found none")
    tally, pairs = found
    return _analysis(votes, tally, judge, partial(pairs.pairs, votes.names), {})


_Counted: TypeAlias = tuple[Tally, PairCounts]


@dataclass(frozen=True)
class _PartCounter:
    """Counts the votes of parts; travels to workers."""

    gold: Mapping[str, Gold]
    model: Classifies | None
    judge: Judge

    def __call__(self, part: VotePart) -> _Counted:
        votes = part.read()
        truth = true_classes(self.gold.get(votes.__fingerprint__()) if self.gold else None, votes)
        probs = None if self.model is None else model_probs(self.model, votes)
        of_row = believed(votes, truth, probs, self.judge)
        pairs = PairCounts.of(votes.matrix, len(votes.classes), of_row)
        return Tally.of(votes, truth, probs), pairs


def _both(one: _Counted, two: _Counted) -> _Counted:
    return one[0] + two[0], one[1] + two[1]


def _analysis(
    votes: Votes | VoteParts,
    tally: Tally,
    judge: Judge,
    pairs: Callable[[], SourcePairs],
    seconds: Mapping[str, float],
) -> Analysis:
    return Analysis(
        rows=tally.rows,
        gold_rows=tally.gold_rows,
        classes=votes.classes,
        shares=tally.shares,
        sources=tally.figures(votes.names, votes.classes, seconds),
        judge=judge,
        pairs=pairs,
    )


def _other(pair: SourcePair | None, name: str) -> str | None:
    if pair is None:
        return None
    return pair.second if pair.first == name else pair.first
