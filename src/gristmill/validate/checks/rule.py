"""What a rule is: it looks at the parts of a column, and judges once, on the totals."""

from __future__ import annotations

import datetime as dt
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar, Self

import polars as pl

from gristmill.validate.chance import beyond_chance
from gristmill.validate.checks.cells import Cells
from gristmill.validate.checks.seen import NOTHING, Seen
from gristmill.validate.schemas.edit import Edit
from gristmill.validate.schemas.feature_spec import FeatureSpec, Severity
from gristmill.validate.statistics.feature import Feature


@dataclass(frozen=True)
class Draft:
    """A finding before its severity is known.

    Attributes:
        severity: the usual one of this finding, where it is not that of its code.
    """

    code: str
    message: str
    seen: Seen = NOTHING
    edit: Edit | None = None
    severity: Severity | None = None


@dataclass(frozen=True)
class Whole:
    """What is known of a column when all parts have been seen.

    Attributes:
        feature: its statistics, of cells cast to the schema's type.
        before: its statistics in the baseline.
        rows: how many rows the table has.
        exact: whether limits leave nothing to chance.
        now: the time of the check, UTC.
    """

    feature: Feature
    before: Feature | None
    rows: int
    exact: bool
    now: dt.datetime

    @property
    def present(self) -> int:
        """How many cells hold a value of the right type."""
        return self.feature.present

    def beyond(self, seen: Seen, allowed: float) -> bool:
        """Whether a share is more than its limit allows."""
        if self.exact:
            return seen.count > 0 and seen.share > allowed
        return beyond_chance(seen.count, seen.total, allowed)


class Rule(ABC):
    """One rule of one column.

    `observe` takes the column part by part and `recall` takes statistics instead, where there
    are no rows; then `judge` compares with the limit. A rule that statistics prove kept for a
    part never looks at its cells. What a rule must define: `_judge`; and `_mask` and `_figures`,
    or `_observe` and `_recall`.
    """

    code: ClassVar[str]
    seen: Seen = NOTHING

    def __init__(self, name: str, spec: FeatureSpec) -> None:
        self.name, self.spec = name, spec

    def observe(self, cells: Cells, part: Feature) -> None:
        """Look at one part of the column, given its statistics."""
        self._observe(cells, part)

    def recall(self, feature: Feature) -> None:
        """Take what statistics tell in place of rows; nothing where they do not know."""
        self._recall(feature)

    def merge(self, later: Self) -> None:
        """Add what the same rule has seen of later parts."""
        self.seen += later.seen

    def judge(self, whole: Whole) -> Iterator[Draft]:
        """Yield what is wrong."""
        return self._judge(whole)

    def _observe(self, cells: Cells, part: Feature) -> None:
        known = self._figures(part)
        if known is not None and known.exact and not known.count:
            self.seen += Seen(0, cells.present)
        else:
            self.seen += cells.seen(self._mask(cells), cells.present)

    def _recall(self, feature: Feature) -> None:
        self.seen = self._figures(feature) or NOTHING

    def _mask(self, cells: Cells) -> pl.Series | None:
        """The cells that break the rule (Boolean[cells]); None where none do."""
        raise NotImplementedError

    def _figures(self, feature: Feature) -> Seen | None:
        """What statistics tell; None where they tell nothing."""
        return None

    @abstractmethod
    def _judge(self, whole: Whole) -> Iterator[Draft]:
        """Yield what is wrong."""

    def edit(self, key: str, new: object) -> Edit:
        """A change of this feature's schema."""
        return Edit(self.name, key, getattr(self.spec, key), new)
