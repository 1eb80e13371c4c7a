"""`gristmill validate accept`: take proposed changes of the schema from a report."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from gristmill.cli.output import HELP, emit, json_option, say, say_folded
from gristmill.cli.validate_options import FILE, PLACE, SCHEMA_FILE
from gristmill.core.errors import UsageError

if TYPE_CHECKING:
    from gristmill.validate.schemas.acceptance import Proposal


@click.command("accept", context_settings=HELP)
@click.argument("report", type=PLACE)
@click.option("--schema", "schema_file", type=FILE, default=SCHEMA_FILE, show_default=True,
              help="The schema to change.")  # fmt: skip
@click.option("--feature", "features", multiple=True, help="Only changes of this feature.")
@click.option("--code", "codes", multiple=True, help="Only changes that answer this finding.")
@click.option("--number", "numbers", type=int, multiple=True, help="Only the change so numbered.")
@click.option("--author", help="Who accepts; kept in the record. [default: the user's name]")
@click.option("--yes", is_flag=True, help="Do not ask.")
@json_option
@click.pass_context
def command(
    ctx: click.Context,
    report: Path,
    schema_file: Path,
    features: tuple[str, ...],
    codes: tuple[str, ...],
    numbers: tuple[int, ...],
    author: str | None,
    yes: bool,
    as_json: bool,
) -> None:
    """Change the schema as the findings of REPORT (a folder) propose, after asking.

    Shows every proposed change with its finding, the safest first, and the lines that would change;
    comments in the file stay. A record beside the schema says who accepted what, and why. No change
    answers a wrong type, a missing or an empty column by switching the check off. With --json
    nothing is asked: without --yes it lists the changes and accepts none.

    \b
    Examples:
      gristmill validate accept report
      gristmill validate accept report --code unseen_value --feature company
      gristmill validate accept report --number 1 --number 3 --yes

    \b
    Exit codes:
      0  accepted, or nothing to accept
      1  the answer was no
      2  wrong call, or a change that cannot be made
      5  the folder holds no report
    """
    from gristmill.validate.checks.report import Report
    from gristmill.validate.schemas.acceptance import Proposal, accept, chosen
    from gristmill.validate.schemas.edit_safety import ranked

    found = Report.load(report)
    proposed = {id(f.edit): Proposal(f.edit, f.code, f.message) for f in found.findings if f.edit}
    edits = ranked(proposal.edit for proposal in proposed.values())
    proposals = [proposed[id(edit)] for edit in edits]
    picked = chosen(proposals, features=features, codes=codes, numbers=numbers) if proposals else []
    if not as_json:
        _show(proposals, picked, schema_file)
    if picked and not yes and not as_json and not _agreed(schema_file):
        say("nothing accepted")
        ctx.exit(1)
    taken = accept(schema_file, picked, author=author) if picked and (yes or not as_json) else []
    payload = {"proposed": [_described(p) for p in picked], "accepted": taken}
    emit(payload, as_json, lambda: say(f"{len(taken)} accepted") if taken else None)


def _agreed(schema_file: Path) -> bool:
    """Ask whether to go on.

    Raises:
        UsageError: there is nobody to answer.
    """
    try:
        return click.confirm(f"Change {schema_file}?")
    except click.Abort:
        if sys.stdin.isatty():
            raise
        raise UsageError(
            "expected an answer on standard input, found its end", fix="accept with --yes"
        ) from None


def _described(proposal: Proposal) -> dict[str, object]:
    edit = proposal.edit
    place = {"feature": edit.feature, "key": edit.key, "old": edit.old, "new": edit.new}
    return place | {"code": proposal.code, "finding": proposal.message}


def _show(proposals: Sequence[Proposal], picked: Sequence[Proposal], schema_file: Path) -> None:
    from gristmill.validate.schemas.acceptance import refuse_unfit
    from gristmill.validate.schemas.edit_safety import safety
    from gristmill.validate.schemas.edited import edit_text

    for number, proposal in enumerate(proposals, 1):
        mark = "*" if proposal in picked else " "
        say_folded(f"{mark}{number:3}. {safety(proposal.edit):8} {proposal.edit}", indent=7)
        say_folded(f"       {proposal.code}: {proposal.message}", indent=7)
    if not picked:
        say("no changes to accept")
        return
    text = schema_file.read_text(encoding="utf-8") if schema_file.exists() else ""
    refuse_unfit(text, picked, where=str(schema_file))
    say()
    for line in _changed_lines(text, edit_text(text, [p.edit for p in picked])):
        say(line)


def _changed_lines(before: str, after: str) -> list[str]:
    import difflib

    lines = difflib.unified_diff(
        before.splitlines(), after.splitlines(), "schema", "accepted", lineterm="", n=2
    )
    return list(lines)
