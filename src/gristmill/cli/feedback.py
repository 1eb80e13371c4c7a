"""`gristmill feedback`: what turned out to be true of kept predictions, from a table."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from gristmill.cli.output import HELP, emit, json_option, say

if TYPE_CHECKING:
    from gristmill.pipeline.feedback_gold import Gathered
    from gristmill.serve.watch.telling import ToldSummary


@click.command("feedback", context_settings=HELP)
@click.argument("served", type=click.Path(path_type=Path))
@click.argument("truths", required=False, type=click.Path(path_type=Path, dir_okay=False))
@click.option("--model", default="", help="Of which model or route, where several are kept there.")
@click.option(
    "--id",
    "id_column",
    default="",
    metavar="COLUMN",
    help="Column with the names of predictions, or your own ids. Default: prediction_id, or id.",
)
@click.option(
    "--truth",
    "truth_column",
    default="label",
    show_default=True,
    metavar="COLUMN",
    help="Column with what the answers should have been.",
)
@click.option("--who", default="", help="Who tells this, where the table has no column `who`.")
@click.option(
    "--correction",
    is_flag=True,
    help="People looked at these predictions, where the table has no column `correction`.",
)
@click.option(
    "--gold",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="FOLDER",
    help="Then add what is new to this folder's rows and answers, for the next training.",
)
@click.option(
    "--source", default="production", show_default=True, help="Annotator of the nameless."
)
@click.option("--by-key", is_flag=True, help="In --gold, your own ids are the ids of rows.")
@json_option
def command(
    served: Path,
    truths: Path | None,
    model: str,
    id_column: str,
    truth_column: str,
    who: str,
    correction: bool,
    gold: Path | None,
    source: str,
    by_key: bool,
    as_json: bool,
) -> None:
    """Say what turned out to be true of predictions that a server has kept.

    SERVED is a serving file whose models keep predictions (keep_predictions), or the folder in
    which they are kept. TRUTHS is a table (CSV, TSV, JSON Lines, Parquet, Arrow) with an id and the
    truth in each row. The id is the one in the answer, or your own that came with the request. The
    server may be running, or gone for weeks; to tell the same again changes nothing.

    With --gold what has been told, here and over HTTP, becomes rows.jsonl (what was asked) and
    answers.jsonl (who said what of it, as `gristmill label review` writes them).

    \b
    Examples:
      gristmill feedback serving.toml chargebacks.csv --id order --truth fraud
      gristmill feedback serving/served/spam told.csv --who anna --correction
      gristmill feedback serving.toml --model spam --gold feedback

    \b
    Exit codes: 0 done (also where some ids are unknown: the summary says so),
    2 wrong call, or no predictions are kept there, 5 the table cannot be read,
    7 what was kept cannot be used.
    """
    from gristmill.core.errors import UsageError
    from gristmill.serve.server.kept_folder import kept_folder
    from gristmill.serve.watch.telling import tell_truths

    if truths is None and gold is None:
        raise UsageError("expected a table of truths, or --gold FOLDER, found neither")
    found = kept_folder(served, model)
    told: ToldSummary | None = None
    gathered: Gathered | None = None
    if truths is not None:
        told = tell_truths(
            found.folder,
            truths,
            id_column=id_column,
            truth_column=truth_column,
            who=who,
            correction=correction,
            keeping=found.keeping,
        )
    if gold is not None:
        from gristmill.pipeline.feedback_gold import gather_feedback

        gathered = gather_feedback(found.folder, gold, source=source, by_key=by_key)
    payload = {"folder": str(found.folder), "told": told, "gold": gathered}
    emit(payload, as_json, lambda: _show(told, gathered, gold))


def _show(told: ToldSummary | None, gathered: Gathered | None, gold: Path | None) -> None:
    if told is not None:
        _show_told(told)
    if gathered is not None:
        say(f"{gold}: {gathered.rows:,} rows and {gathered.answers:,} answers are new")


def _show_told(told: ToldSummary) -> None:
    from gristmill.serve.watch.truth_log import MEANING

    said = ", ".join(f"{count:,} {status}" for status, count in told.counts.items())
    say(f"{told.rows:,} rows: {said or 'none'}")
    for status, meaning in MEANING.items():
        if status in told.examples:
            say(f"  {status}: {meaning}: {', '.join(told.examples[status])}")
    if "empty" in told.counts:
        say("  empty: no id, or no truth; nothing was told")
