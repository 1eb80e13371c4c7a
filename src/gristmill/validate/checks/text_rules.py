"""Rules of texts: lengths, patterns, broken encodings."""

from __future__ import annotations

from collections.abc import Iterator

import polars as pl

from gristmill.core.errors import UsageError
from gristmill.validate.checks.cells import Cells
from gristmill.validate.checks.range_rules import figures_outside, outside
from gristmill.validate.checks.rule import Draft, Rule, Whole
from gristmill.validate.checks.seen import Seen
from gristmill.validate.checks.wording import between, listed, of, up, verb
from gristmill.validate.schemas.edit import Edit
from gristmill.validate.statistics import text
from gristmill.validate.statistics.feature import Feature


class Length(Rule):
    """Texts shorter or longer than allowed, in characters."""

    code = "length_out_of_range"

    def _mask(self, cells: Cells) -> pl.Series:
        lengths = text.lengths(cells.values).cast(pl.Int64)
        return outside(lengths, self.spec.min_length, self.spec.max_length)

    def _figures(self, feature: Feature) -> Seen:
        # Their extremes are lengths, not texts: no examples.
        bounds = self.spec.min_length, self.spec.max_length
        seen = figures_outside(feature.lengths, *bounds, feature.present)
        return Seen(seen.count, seen.total, exact=seen.exact)

    def _judge(self, whole: Whole) -> Iterator[Draft]:
        if whole.beyond(self.seen, self.spec.max_outside):
            bounds = between(self.spec.min_length, self.spec.max_length)
            message = (
                f"{of(self.seen)} {verb(self.seen, 'is', 'are')} not {bounds} characters long"
                f"{listed(self.seen, 2)}"
            )
            yield Draft(self.code, message, self.seen, self._widen(whole))

    def _widen(self, whole: Whole) -> Edit | None:
        lengths, spec = whole.feature.lengths, self.spec
        if lengths is None or lengths.low is None or lengths.high is None:
            return None
        if spec.min_length is not None and lengths.low < spec.min_length:
            return self.edit("min_length", lengths.low)
        if spec.max_length is not None and lengths.high > spec.max_length:
            return self.edit("max_length", lengths.high)
        return None


class Pattern(Rule):
    """Texts that a regular expression does not match as a whole."""

    code = "pattern_mismatch"

    def _mask(self, cells: Cells) -> pl.Series:
        try:
            return ~cells.values.str.contains(rf"\A(?:{self.spec.pattern})\z")
        except pl.exceptions.ComputeError as error:
            raise UsageError(
                f"the pattern {self.spec.pattern!r} is no regular expression: {error}",
                where=f"schema, features.{self.name}.pattern",
                fix="use Rust's syntax of regular expressions (no look-around, no back-references)",
            ) from error

    def _figures(self, feature: Feature) -> Seen | None:
        counts = feature.values.counts() if feature.values is not None else None
        if counts is None:
            return None
        texts = pl.Series(list(counts), dtype=pl.String)
        off = ~texts.str.contains(rf"\A(?:{self.spec.pattern})\z")
        wrong = texts.filter(off).to_list()
        return Seen(sum(counts[value] for value in wrong), feature.present, tuple(wrong[:100]))

    def _observe(self, cells: Cells, part: Feature) -> None:
        self.seen += cells.seen(self._mask(cells), cells.present)

    def _judge(self, whole: Whole) -> Iterator[Draft]:
        if whole.beyond(self.seen, self.spec.max_unmatched):
            message = (
                f"{of(self.seen)} {verb(self.seen, 'does', 'do')} not match "
                f"{self.spec.pattern!r}{listed(self.seen)}"
            )
            edit = self.edit("max_unmatched", up(self.seen.share))
            yield Draft(self.code, message, self.seen, edit)


class BrokenEncoding(Rule):
    """Texts that were read in the wrong encoding."""

    code = "broken_encoding"

    def _mask(self, cells: Cells) -> pl.Series:
        return text.is_broken(cells.values)

    def _figures(self, feature: Feature) -> Seen:
        return Seen(feature.broken, feature.present)

    def _judge(self, whole: Whole) -> Iterator[Draft]:
        if whole.beyond(self.seen, self.spec.max_broken):
            show = verb(self.seen, "shows", "show")
            message = (
                f"{of(self.seen)} {show} a broken encoding (replacement or mojibake characters)"
                f"{listed(self.seen, 2)}"
            )
            edit = self.edit("max_broken", up(self.seen.share))
            yield Draft(self.code, message, self.seen, edit)
