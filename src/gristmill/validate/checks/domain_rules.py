"""Rules of domains: the values that a column may hold."""

from __future__ import annotations

import difflib
import math
from collections.abc import Iterator

import polars as pl

from gristmill.validate.chance import ALARM_LEVEL, log_tail
from gristmill.validate.checks.cells import Cells
from gristmill.validate.checks.rule import Draft, Rule, Whole
from gristmill.validate.checks.seen import KEPT_VALUES, Seen
from gristmill.validate.checks.wording import listed, of, up, verb
from gristmill.validate.schemas.edit import Edit
from gristmill.validate.schemas.feature_spec import Severity
from gristmill.validate.statistics.feature import Feature

_MAX_DOMAIN = 200


class UnseenValue(Rule):
    """Values outside the domain."""

    code = "unseen_value"

    def _mask(self, cells: Cells) -> pl.Series:
        known = pl.Series(self.spec.domain, dtype=cells.values.dtype, strict=False)
        return ~cells.values.is_in(known.implode())

    def _figures(self, feature: Feature) -> Seen:
        known = {str(value) for value in self.spec.domain or ()}
        tops = feature.top(1 << 12)
        new = [top for top in tops if top.value not in known]
        exact = sum(top.count for top in tops) >= feature.present
        values = tuple(top.value for top in new[:KEPT_VALUES])
        return Seen(sum(top.count for top in new), feature.present, values, exact=exact)

    def _judge(self, whole: Whole) -> Iterator[Draft]:
        beyond = whole.beyond(self.seen, self.spec.max_unseen) or self._is_new(whole)
        if not beyond and not self._is_variant():
            return
        message = (
            f"{of(self.seen)} {verb(self.seen, 'is', 'are')} outside the domain"
            f"{listed(self.seen)}{self._near()}"
        )
        # Few enough to be chance, but spelled like a known value: seldom a value of its own.
        severity: Severity | None = None if beyond else "warning"
        yield Draft(self.code, message, self.seen, self._widen(), severity)

    def _is_new(self, whole: Whole) -> bool:
        """Whether a baseline had fewer such cells than chance explains.

        What it had once only counts as such a cell too: as many as values that occur once are to
        be expected of values that it has not (Good 1953).
        """
        counts = whole.before.values.counts() if whole.before and whole.before.values else None
        if whole.before is None or not counts:
            return False
        known = {str(value) for value in self.spec.domain or ()}
        others = sum(n for value, n in counts.items() if value not in known or n == 1)
        tail = log_tail(self.seen.count, self.seen.total, others, whole.before.present)
        return tail < math.log(ALARM_LEVEL)

    def _is_variant(self) -> bool:
        """Whether every value is a known one but for case and the white space around it."""
        known = {_folded(value) for value in self.spec.domain or ()}
        values = self.seen.values
        return bool(values) and all(_folded(value) in known for value in values)

    def _widen(self) -> Edit:
        values, domain = self.seen.values, list(self.spec.domain or ())
        if len(domain) + len(values) > _MAX_DOMAIN or len(values) >= KEPT_VALUES:
            return self.edit("max_unseen", up(self.seen.share))
        kind = _whole if self.spec.type == "int" else str
        return self.edit("domain", sorted({*domain, *(kind(value) for value in values)}))

    def _near(self) -> str:
        """Say which known value the first unseen one resembles, if any."""
        names = {_folded(value): value for value in self.spec.domain or ()}
        value = self.seen.values[0] if self.seen.values else ""
        near = difflib.get_close_matches(_folded(value), names, 1, cutoff=0.8)
        return f" (like {names[near[0]]!r}?)" if near else ""


def _whole(value: object) -> int:
    """The integer that a cell was read as: 7, 7.0 or ' 7.0 '."""
    return int(value) if isinstance(value, float) else int(str(value).strip().partition(".")[0])


def _folded(value: object) -> str:
    return str(value).strip().casefold()
