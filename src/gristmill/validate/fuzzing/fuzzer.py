"""Model unit tests: code is fed rows drawn from its schema, and what breaks it is made small.

The idea is that of schema-led fuzzing of training code (Breck, Polyzotis, Roy, Whang, Zinkevich:
"Data Validation for Machine Learning", MLSys 2019, section 5).
"""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import polars as pl

from gristmill.core.errors import GristmillError, UsageError
from gristmill.core.progress import task
from gristmill.core.seeds import derive_seed
from gristmill.validate.fuzzing.edges import edge_cells
from gristmill.validate.fuzzing.failure import Failure, FuzzReport, Wrong, cut
from gristmill.validate.fuzzing.strategies import Row, plain_row, rows
from gristmill.validate.fuzzing.tables import table_of
from gristmill.validate.rows.guard import Guard
from gristmill.validate.schemas.schema import Schema

Target = Callable[[pl.DataFrame], object]
"""The code under test: takes a table with the columns of the schema."""

Judge = Callable[[pl.DataFrame, object], str | None]
"""Says what is wrong with an answer to rows that keep the schema; None where nothing is."""

_MOST_FAILURES = 20
_BROKE = (Exception, SystemExit, pl.exceptions.PanicException)
"""What code under test raises; but not what stops us, such as Ctrl-C."""


def fuzz(
    schema: Schema,
    target: Target,
    *,
    name: str | None = None,
    drawn: int = 200,
    company: int = 0,
    seed: int = 0,
    environment: str | None = None,
    judge: Judge | None = None,
) -> FuzzReport:
    """Feed code edge cases, then random rows, and report what breaks it.

    A row that keeps the schema must be answered; a row that breaks it must be answered or refused
    with an error of ours (`GristmillError`). Anything else is a failure. Failures are told once per
    place in the code, with the smallest row that shows them.

    Args:
        schema: what rows look like.
        target: the code under test.
        name: what it is called in the report.
        drawn: how many random rows to draw (at least 0).
        company: how many plain good rows each table has besides the row under test; code that
            trains needs some.
        seed: of the random rows; the same seed draws the same rows.
        environment: one of the schema's environments.
        judge: checks answers to good rows.

    Raises:
        UsageError: `drawn` or `company` is negative, or the schema knows no such environment.
    """
    if drawn < 0 or company < 0:
        raise UsageError(f"expected counts of at least 0, found {drawn} rows, {company} in company")
    trial = _Trial(schema, target, judge, plain_row(schema, environment), company, environment)
    edges = list(_edge_rows(schema, trial.plain, environment))
    with task("fuzz", len(edges) + drawn, "rows") as work:
        for row in edges:
            failure = trial.run(row)
            if failure is not None:
                trial.keep(trial.smaller(row, failure))
            work.advance()
        if drawn:
            _draw(trial, drawn, seed, work.advance)
    label = name or str(getattr(target, "__name__", "target"))
    return FuzzReport(label, len(edges), drawn, list(trial.failures.values()), seed)


def _edge_rows(schema: Schema, plain: Row, environment: str | None) -> Iterator[Row]:
    """The plain row, then one with each edge of each feature; features one by one."""
    yield plain
    for name, spec in schema.active(environment).items():
        for _, cell in edge_cells(spec):
            yield plain | {name: cell}


@dataclass
class _Trial:
    """Runs the target on rows and remembers each way it failed once."""

    schema: Schema
    target: Target
    judge: Judge | None
    plain: Row
    company: int
    environment: str | None
    failures: dict[tuple[str, str], Failure] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.guard = Guard(self.schema, environment=self.environment)

    def run(self, row: Row) -> Failure | None:
        """Feed one row, in company; None if all is well."""
        kept = self.guard.admits(row)
        table = table_of([*[self.plain] * self.company, row], self.schema)
        try:
            answer = self.target(table)
        except GristmillError as error:
            return self._failure("refused a good row", error, row) if kept else None
        except _BROKE as error:
            return self._failure("crashed", error, row, kept=kept)
        problem = self.judge(table, answer) if kept and self.judge else None
        if problem is None:
            return None
        return Failure("wrong answer", problem, "", row, self._odd(row), keeps_schema=True)

    def keep(self, failure: Failure) -> None:
        """Remember a failure; of two that are one, that on a row that keeps the schema."""
        if not self.known(failure):
            self.failures[_identity(failure)] = failure

    def known(self, failure: Failure) -> bool:
        """Tell whether code failed there, in that way, on such a row before."""
        earlier = self.failures.get(_identity(failure))
        if earlier is None:
            return len(self.failures) >= _MOST_FAILURES
        return earlier.keeps_schema or not failure.keeps_schema

    def smaller(self, row: Row, failure: Failure) -> Failure:
        """Put plain cells into a failing row, one by one, as long as it fails in the same way."""
        for name in row:
            simpler = row | {name: self.plain[name]}
            again = self.run(simpler)
            if again is not None and _identity(again) == _identity(failure):
                row, failure = simpler, again
        return failure

    def _failure(
        self, wrong: Wrong, error: BaseException, row: Row, *, kept: bool = True
    ) -> Failure:
        first = (str(error).splitlines() or [""])[0]
        said = f"{type(error).__name__}: {cut(first)}"
        return Failure(wrong, said, _place(error), row, self._odd(row), kept)

    def _odd(self, row: Row) -> list[str]:
        return [name for name in row if repr(row[name]) != repr(self.plain[name])]


def _identity(failure: Failure) -> tuple[str, str]:
    """Failures are one if they are of one kind and come from one place."""
    kind = failure.error.partition(":")[0] if failure.where else failure.error
    return f"{failure.wrong} {kind}", failure.where


def _place(error: BaseException) -> str:
    """The innermost line of code that is not in an installed package, else the innermost."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [f for f in frames if "site-packages" not in f.filename and f.filename != __file__]
    last = (own or list(frames))[-1]
    return f"{last.filename}:{last.lineno}"


def _draw(trial: _Trial, drawn: int, seed: int, advance: Callable[[], None]) -> None:
    """Let Hypothesis draw rows until a round finds nothing new; it shrinks what it finds."""
    for number in range(_MOST_FAILURES):
        before = len(trial.failures)
        _round(trial, drawn, derive_seed(seed, "fuzz", number), advance)
        if len(trial.failures) == before:
            return


class _FoundError(Exception):
    """Carries a failure out of Hypothesis, which looks for the smallest row that raises it."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(str(failure))
        self.failure = failure


def _round(trial: _Trial, drawn: int, seed: int, advance: Callable[[], None]) -> None:
    from hypothesis import HealthCheck, Phase, given, settings
    from hypothesis import seed as seeded

    @seeded(seed)
    @settings(
        max_examples=drawn,
        database=None,
        deadline=None,
        report_multiple_bugs=False,
        phases=[Phase.generate, Phase.shrink],
        suppress_health_check=list(HealthCheck),
        print_blob=False,
    )
    @given(rows(trial.schema, trial.environment))
    def test(row: Row) -> None:
        advance()
        failure = trial.run(row)
        if failure is not None and not trial.known(failure):
            raise _FoundError(failure)

    try:
        test()
    except _FoundError as found:
        trial.keep(trial.smaller(found.failure.row, found.failure))
