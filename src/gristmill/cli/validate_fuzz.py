"""`gristmill validate fuzz`: model unit tests, by rows drawn from a schema."""

from __future__ import annotations

import inspect
import sys
from contextlib import redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING

import click

from gristmill.cli.output import HELP, emit, json_option, say, say_folded
from gristmill.cli.validate_options import environment_option, schema_option
from gristmill.core.errors import FindingsError, UsageError

if TYPE_CHECKING:
    import polars as pl

    from gristmill.validate.fuzzing.failure import FuzzReport
    from gristmill.validate.fuzzing.fuzzer import Judge, Target

_SUM_ERROR = 1e-6


@click.command("fuzz", context_settings=HELP)
@click.argument("target")
@schema_option
@environment_option
@click.option("--rows", type=click.IntRange(0), default=200, show_default=True,
              help="How many random rows to draw, after the edge cases.")  # fmt: skip
@click.option("--company", type=click.IntRange(0), default=0, show_default=True,
              help="Plain good rows beside each row under test; training needs some.")  # fmt: skip
@click.option("--seed", type=int, default=0, show_default=True, help="Seed of the random rows.")
@json_option
def command(
    target: str,
    schema_file: Path,
    environment: str | None,
    rows: int,
    company: int,
    seed: int,
    as_json: bool,
) -> None:
    """Feed TARGET rows that its schema describes, and report what breaks it.

    TARGET is a bundle's folder, or FILE.py:FUNCTION, a function or @step of one table. Edge cases
    come first (empty, least, greatest, rare, unseen, missing, long, non-ASCII ...), then random
    rows. A good row must be answered; a bad one may be refused with a Gristmill error. Each way to
    break is told once, with the smallest row that shows it.

    \b
    Examples:
      gristmill validate fuzz bundle/ --schema schema.toml --environment serving
      gristmill validate fuzz pipeline.py:features --rows 1000
      gristmill validate fuzz pipeline.py:train --company 50 --rows 20

    \b
    Exit codes:
      0  nothing broke
      2  wrong call, or a schema that cannot be read
      3  something broke
      8  the bundle is damaged
    """
    from gristmill.validate.fuzzing.fuzzer import fuzz
    from gristmill.validate.schemas.schema import Schema

    schema = Schema.read(schema_file)
    code, judge = _bundle(Path(target)) if Path(target).is_dir() else (_function(target), None)
    # What the code under test prints must not mix with what we do.
    with redirect_stdout(sys.stderr):
        report = fuzz(
            schema,
            code,
            name=target,
            drawn=rows,
            company=company,
            seed=seed,
            environment=environment,
            judge=judge,
        )
    emit(report.describe(), as_json, lambda: _show(report))
    if not report.ok:
        raise FindingsError(
            "rows drawn from the schema broke the code",
            where=target,
            fix="mend the code, or narrow the schema if such rows cannot occur",
        )


def _show(report: FuzzReport) -> None:
    say(report.verdict)
    for number, failure in enumerate(report.failures, 1):
        say()
        say_folded(f"{number}. {failure}", indent=3)


def _function(target: str) -> Target:
    """Find FILE.py:FUNCTION.

    Raises:
        UsageError: there is no such file or function, or it does not take one table.
    """
    from gristmill.pipeline.load import import_file

    file, _, name = target.rpartition(":")
    path = Path(file).resolve()
    if not file or not path.is_file():
        raise UsageError(
            f"expected a bundle's folder or FILE.py:FUNCTION, found {target!r}",
            fix="name a folder that holds a bundle, or a function like pipeline.py:train",
        )
    function = getattr(import_file(path), name, None)
    if not callable(function):
        raise UsageError(f"there is no function {name!r}", where=file)
    needed = [
        parameter.name
        for parameter in inspect.signature(function).parameters.values()
        if parameter.default is parameter.empty and parameter.kind is not parameter.VAR_KEYWORD
    ]
    if len(needed) != 1:
        raise UsageError(
            f"expected a function of one table, found {name}({', '.join(needed)})",
            where=file,
            fix="wrap it in a function of one table",
        )
    checked: Target = function
    return checked


def _bundle(folder: Path) -> tuple[Target, Judge]:
    """A bundle as code under test: records are checked as the server checks them."""
    from gristmill.serve.offline.answering import answer_fields, answers_frame
    from gristmill.serve.runners.checking import Checker
    from gristmill.serve.runners.opening import open_runner

    runner = open_runner(folder)
    checker, fields = Checker(runner.inputs), answer_fields(runner)
    names = {field.name for field in runner.inputs}

    def answer(table: pl.DataFrame) -> pl.DataFrame:
        records = table.select(name for name in table.columns if name in names).to_dicts()
        return answers_frame(runner(checker.rows(records)), fields)

    return answer, _judge_answers


def _judge_answers(table: pl.DataFrame, answer: object) -> str | None:
    """Say what is wrong with answers: their number, or the probabilities of classes."""
    import polars as pl

    if not isinstance(answer, pl.DataFrame) or answer.height != table.height:
        return f"expected {table.height} answers"
    for probs in answer["probs"].to_list() if "probs" in answer.columns else []:
        if not all(0 <= p <= 1 for p in probs) or abs(sum(probs) - 1) > _SUM_ERROR:
            return f"probabilities {probs} do not sum to 1"
    return None
