"""Rules that a person writes as SQL expressions over the columns of a row."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import polars as pl

from gristmill.validate.chance import beyond_chance
from gristmill.validate.checks.places import Part, Places
from gristmill.validate.checks.rule import Draft
from gristmill.validate.checks.seen import Seen, shown
from gristmill.validate.checks.wording import of, verb
from gristmill.validate.schemas.table_spec import RuleSpec

_SHOWN_ROWS = 3


def applies(rule: RuleSpec, environment: str | None) -> bool:
    """Whether a rule holds in an environment; where none is named, every rule does."""
    return not rule.environments or environment is None or environment in rule.environments


class ExpressionRule:
    """`holds`: an SQL expression that every row meets; a row where it is NULL meets it.

    Polars evaluates it, so it can name columns and functions but reach no file.
    """

    def __init__(self, name: str, spec: RuleSpec, columns: Sequence[str]) -> None:
        self.name, self.spec, self.seen, self.problem = name, spec, Seen(), ""
        self._holds: pl.Expr | None = None
        self.columns: list[str] = []
        try:
            self._holds = pl.sql_expr(spec.holds or "")
            self.columns = list(dict.fromkeys(self._holds.meta.root_names()))
        except pl.exceptions.PolarsError as error:
            self.problem = f"is no SQL expression: {_first_line(error)}"
        absent = [name for name in self.columns if name not in columns]
        if absent:
            are = "is" if len(absent) == 1 else "are"
            self.problem = f"needs {', '.join(map(repr, absent))}, which {are} not there"

    def __str__(self) -> str:
        return f"rule {self.name!r} ({self.spec.holds})"

    def broken(self, frame: pl.DataFrame) -> pl.Series | None:
        """Tell which rows of a part, its cells cast, break the rule: Boolean[n], no nulls.

        None where the rule cannot be applied; `problem` then says why.
        """
        if self._holds is None or self.problem:
            return None
        try:
            met = frame.select(self._holds.alias("met")).to_series()
        except pl.exceptions.PolarsError as error:
            self.problem = f"cannot be evaluated on {', '.join(self.columns)}: {_first_line(error)}"
            return None
        if met.dtype not in (pl.Boolean, pl.Null):
            self.problem = f"is {met.dtype} and not true or false"
            return None
        broken = (~met.cast(pl.Boolean)).fill_null(value=False)
        return broken if len(broken) == frame.height else broken.new_from_index(0, frame.height)

    def observe(self, frame: pl.DataFrame, part: Part) -> None:
        """Look at one part, its cells cast."""
        broken = self.broken(frame)
        if broken is None:
            return
        values = (
            () if not self.columns or not broken.any() else _examples(frame, self.columns, broken)
        )
        places = Places.of(broken, part)
        self.seen += Seen(places.count, part.rows, values, places)

    def merge(self, later: ExpressionRule) -> None:
        """Add what the same rule has seen of later parts."""
        self.seen, self.problem = self.seen + later.seen, self.problem or later.problem

    def judge(self, *, exact: bool) -> Iterator[Draft]:
        """Yield a finding where too many rows break the rule, or it cannot be applied."""
        if self.problem:
            yield Draft("invalid_rule", f"{self} {self.problem}", severity=self.spec.severity)
            return
        seen, limit = self.seen, self.spec.max_broken
        beyond = seen.share > limit if exact else beyond_chance(seen.count, seen.total, limit)
        if seen.count and beyond:
            told = f": {self.spec.message}" if self.spec.message else ""
            found = "; ".join(str(value) for value in seen.values[:_SHOWN_ROWS])
            message = f"{of(seen, 'rows')} {verb(seen, 'breaks', 'break')} {self}{told}" + (
                f" - {found}" if found else ""
            )
            yield Draft("rule_broken", message, seen, severity=self.spec.severity)


def _examples(frame: pl.DataFrame, columns: list[str], broken: pl.Series) -> tuple[str, ...]:
    rows = frame.select(columns).filter(broken).head(5)
    return tuple(spelled_row(row) for row in rows.iter_rows(named=True))


def spelled_row(row: dict[str, object]) -> str:
    """Spell a row for a message: `tips = 9.0, fare = 5.0`."""
    return ", ".join(f"{name} = {shown(value)}" for name, value in row.items())


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
