"""Rules of domains: the values that a column may hold."""

from __future__ import annotations

import difflib
from collections.abc import Iterator

import polars as pl

from gristmill.validate.checks.cells import Cells
from gristmill.validate.checks.rule import Draft, Rule, Whole
from gristmill.validate.checks.seen import KEPT_VALUES, Seen
from gristmill.validate.checks.wording import listed, of, up, verb
from gristmill.validate.schemas.edit import Edit
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
        if whole.beyond(self.seen, self.spec.max_unseen):
            message = (
                f"{of(self.seen)} {verb(self.seen, 'is', 'are')} outside the domain"
                f"{listed(self.seen)}{self._near()}"
            )
            yield Draft(self.code, message, self.seen, self._widen())

    def _widen(self) -> Edit:
        values, domain = self.seen.values, list(self.spec.domain or ())
        if len(domain) + len(values) > _MAX_DOMAIN or len(values) >= KEPT_VALUES:
            return self.edit("max_unseen", up(self.seen.share))
        kind = int if self.spec.type == "int" else str
        return self.edit("domain", sorted({*domain, *(kind(str(value)) for value in values)}))

    def _near(self) -> str:
        """Say which known value the first unseen one resembles, if any."""
        names = {str(value).strip().casefold(): value for value in self.spec.domain or ()}
        value = str(self.seen.values[0]) if self.seen.values else ""
        near = difflib.get_close_matches(value.strip().casefold(), names, 1, cutoff=0.8)
        return f" (like {names[near[0]]!r}?)" if near else ""
