"""Rules of types: cells that do not fit, numbers that overflow, texts like "NA", nesting."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Self

import polars as pl

from gristmill.validate.chance import upper_share
from gristmill.validate.checks.cells import Cells, cell_kind, is_null_word
from gristmill.validate.checks.rule import Draft, Rule, Whole
from gristmill.validate.checks.seen import Seen
from gristmill.validate.checks.wording import listed, of, verb
from gristmill.validate.schemas.edit import Edit
from gristmill.validate.statistics.feature import Feature

_BITS = 63
_SHOWN = 3


class WrongType(Rule):
    """Cells that do not fit the type, but for those that the two rules below tell of."""

    code = "wrong_type"
    column_kind = ""

    def _observe(self, cells: Cells, part: Feature) -> None:
        self.column_kind = self.column_kind or cell_kind(cells.column)
        self.seen += cells.seen(self._mask(cells), cells.present + cells.bad_count)

    def merge(self, later: Self) -> None:
        """See `Rule.merge`."""
        super().merge(later)
        self.column_kind = self.column_kind or later.column_kind

    def _mask(self, cells: Cells) -> pl.Series | None:
        if cells.bad is None:
            return None
        rest = cells.bad
        for told in (cells.overflowing, cells.null_words):
            rest = rest if told is None else rest & ~told
        return rest

    def _figures(self, feature: Feature) -> Seen | None:
        if list(feature.kinds) == [self.spec.type]:
            return Seen(0, feature.present)
        self.column_kind = feature.kind
        fitting = {"float": ("int", "float"), "any": tuple(feature.kinds)}
        good = fitting.get(self.spec.type, (self.spec.type,))
        wrong = {kind: n for kind, n in feature.kinds.items() if kind not in good}
        if self.spec.type == "int" and "float" in wrong and _is_whole(feature):
            wrong.pop("float")
        return Seen(sum(wrong.values()), sum(feature.kinds.values()))

    def _judge(self, whole: Whole) -> Iterator[Draft]:
        if not whole.beyond(self.seen, self.spec.max_mistyped):
            return
        text = self.column_kind in ("string", "mixed")
        fit = verb(self.seen, "does not", "do not") + (" parse" if text else " fit")
        typed = "" if text else f" (the column is {self.column_kind})"
        message = f"{of(self.seen)} {fit} as {self.spec.type}{typed}{listed(self.seen, _SHOWN)}"
        yield Draft(self.code, message, self.seen, self._wider())

    def _wider(self) -> Edit | None:
        """Floats hold all that ints do; no other type can take the place of one."""
        numbers = all(isinstance(value, float) for value in self.seen.values)
        if self.spec.type == "int" and self.spec.domain is None and numbers and self.seen.values:
            return self.edit("type", "float")
        return None


class IntegerOverflow(Rule):
    """Whole numbers beyond 64 bits, or cut off at their end."""

    code = "integer_overflow"

    def _observe(self, cells: Cells, part: Feature) -> None:
        self.seen += cells.seen(cells.overflowing, cells.present + cells.bad_count)

    def _figures(self, feature: Feature) -> Seen | None:
        numbers = feature.numbers
        if numbers is None or numbers.low is None or numbers.high is None:
            return None
        if self.spec.max is not None and self.spec.max >= 2**_BITS - 1:
            return None
        outer = [x for x in (numbers.low, numbers.high) if not -(2**_BITS) < x < 2**_BITS - 1]
        return Seen(len(outer), numbers.n, tuple(outer), exact=not outer)

    def _judge(self, whole: Whole) -> Iterator[Draft]:
        if whole.beyond(self.seen, self.spec.max_mistyped):
            message = (
                f"{of(self.seen)} {verb(self.seen, 'is a whole number', 'are whole numbers')} at "
                f"or beyond the end of 64-bit integers{listed(self.seen, _SHOWN)}"
            )
            yield Draft(self.code, message, self.seen)


class NullWords(Rule):
    """Texts that spell a missing value: in columns of other types, or suddenly among texts."""

    code = "nan_text"

    def _observe(self, cells: Cells, part: Feature) -> None:
        total = cells.present + cells.bad_count
        self.seen += cells.seen(self._mask(cells), total)

    def _mask(self, cells: Cells) -> pl.Series | None:
        if self.spec.type != "string":
            return cells.null_words
        # One look-up per different text is much cheaper than one per cell.
        different = cells.values.drop_nulls().unique()
        odd = different.filter(is_null_word(different))
        return cells.values.is_in(odd.implode()) if len(odd) else None

    def _figures(self, feature: Feature) -> Seen | None:
        if self.spec.type != "string" or feature.values is None:
            return None
        words = _null_words_of(feature)
        return Seen(sum(words.values()), feature.present, tuple(words))

    def _judge(self, whole: Whole) -> Iterator[Draft]:
        if self._sudden(whole):
            message = (
                f"{of(self.seen)} {verb(self.seen, 'spells', 'spell')} a missing value as text"
                f"{listed(self.seen, _SHOWN)}"
            )
            spelled = sorted({str(value).strip() for value in self.seen.values})
            known = [str(value) for value in self.spec.null_values]
            edit = self.edit("null_values", list(dict.fromkeys([*known, *spelled])))
            yield Draft(self.code, message, self.seen, edit)

    def _sudden(self, whole: Whole) -> bool:
        """Whether there are more than is fine; among texts, than there were in the baseline."""
        if self.spec.type != "string":
            return whole.beyond(self.seen, self.spec.max_mistyped)
        if whole.before is None or whole.before.values is None or not whole.before.present:
            return False
        used = sum(_null_words_of(whole.before).values())
        return whole.beyond(self.seen, upper_share(used, whole.before.present))


class Nesting(Rule):
    """Lists where plain cells belong, plain cells where lists do, or another depth."""

    code = "nesting"
    found: int | None = None

    def _observe(self, cells: Cells, part: Feature) -> None:
        if cells.fits_shape:
            self.seen += Seen(0, cells.rows)
            return
        self.found = cells.depth
        present = cells.column.is_not_null()
        self.seen += cells.seen_rows(present, cells.rows, cells.column)

    def merge(self, later: Self) -> None:
        """See `Rule.merge`."""
        super().merge(later)
        self.found = self.found if later.found is None else later.found

    def _recall(self, feature: Feature) -> None:
        valency = feature.valency
        if valency is None and not self.spec.nesting:
            return
        depths = {0: feature.present} if valency is None else dict(valency.depths)
        wrong = {d: n for d, n in depths.items() if d != self.spec.nesting and n}
        self.found = max(wrong, default=None)
        self.seen = Seen(sum(wrong.values()), feature.rows)

    def _judge(self, whole: Whole) -> Iterator[Draft]:
        if self.seen.count:
            message = (
                f"{of(self.seen)} {verb(self.seen, 'is', 'are')} {_shape(self.found or 0)}, "
                f"expected {_shape(self.spec.nesting)}{listed(self.seen, 1)}"
            )
            yield Draft(self.code, message, self.seen)


def _shape(depth: int) -> str:
    return "plain" if depth == 0 else " of ".join(["lists"] * depth)


def _is_whole(feature: Feature) -> bool:
    counted = feature.numbers.quantiles.value_counts() if feature.numbers else None
    return counted is not None and bool((counted[0] % 1 == 0).all())


def _null_words_of(feature: Feature) -> dict[str, int]:
    tops = feature.top(1 << 12)
    if not tops:
        return {}
    odd = is_null_word(pl.Series([top.value for top in tops], dtype=pl.String)).to_list()
    return {top.value: top.count for top, hit in zip(tops, odd, strict=True) if hit}
