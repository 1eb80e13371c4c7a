"""`gristmill validate accept`: take proposed changes of the schema from a report."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from gristmill.cli.output import HELP, emit, json_option, say
from gristmill.cli.validate_options import PLACE, schema_option

if TYPE_CHECKING:
    from gristmill.validate.schemas.acceptance import Proposal


@click.command("accept", context_settings=HELP)
@click.argument("report", type=PLACE)
@schema_option
@click.option("--feature", "features", multiple=True, help="Only changes of this feature.")
@click.option("--code", "codes", multiple=True, help="Only changes that answer this finding.")
@click.option("--number", "numbers", type=int, multiple=True, help="Only the change so numbered.")
@click.option("--author", help="Who accepts; kept in the record. [default: the user's name]")
@click.option("--yes", is_flag=True, help="Do not ask.")
@json_option
def command(
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
    answers a wrong type, a missing or an empty column by switching the check off.

    \b
    Examples:
      gristmill validate accept report
      gristmill validate accept report --code unseen_value --feature company
      gristmill validate accept report --number 1 --number 3 --yes

    \b
    Exit codes:
      0  accepted, or nothing to accept
      1  not accepted
      2  wrong call, or a change that cannot be made
      5  the folder holds no report
    """
    from gristmill.validate.checks.report import Report
    from gristmill.validate.schemas.acceptance import Proposal, accept, chosen
    from gristmill.validate.schemas.safety import ranked

    found = Report.load(report)
    proposed = {id(f.edit): Proposal(f.edit, f.code, f.message) for f in found.findings if f.edit}
    edits = ranked(proposal.edit for proposal in proposed.values())
    proposals = [proposed[id(edit)] for edit in edits]
    picked = chosen(proposals, features=features, codes=codes, numbers=numbers) if proposals else []
    if not as_json:
        _show(proposals, picked, schema_file)
    if picked and not yes and not as_json:
        click.confirm(f"Change {schema_file}?", abort=True)
    taken = accept(schema_file, picked, author=author) if picked else []
    emit({"accepted": taken}, as_json, lambda: say(f"{len(taken)} accepted"))


def _show(proposals: Sequence[Proposal], picked: Sequence[Proposal], schema_file: Path) -> None:
    from gristmill.validate.schemas.edited import edit_text
    from gristmill.validate.schemas.safety import safety

    for number, proposal in enumerate(proposals, 1):
        mark = "*" if proposal in picked else " "
        say(f"{mark}{number:3}. {safety(proposal.edit):8} {proposal.edit}")
        say(f"       {proposal.code}: {proposal.message}")
    if not picked:
        say("no changes to accept")
        return
    text = schema_file.read_text(encoding="utf-8") if schema_file.exists() else ""
    say()
    for line in _changed_lines(text, edit_text(text, [p.edit for p in picked])):
        say(line)


def _changed_lines(before: str, after: str) -> list[str]:
    import difflib

    lines = difflib.unified_diff(
        before.splitlines(), after.splitlines(), "schema", "accepted", lineterm="", n=2
    )
    return list(lines)
