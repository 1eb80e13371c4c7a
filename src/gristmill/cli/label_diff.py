"""`gristmill label diff`: which labels changed between two versions, and which change did it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import click

from gristmill.cli.output import HELP, emit, json_option, say, table

if TYPE_CHECKING:
    import polars as pl

    from gristmill.cli.label_refs import Version
    from gristmill.label.versions.comparison import Comparison

_DIFFERENT = 1


@click.command("diff", context_settings=HELP)
@click.argument("before")
@click.argument("after", required=False)
@click.option(
    "--limit",
    type=click.IntRange(min=0),
    default=20,
    show_default=True,
    help="Rows to list; 0 for none.",
)
@click.option("--probs", is_flag=True, help="Also rows of which only probabilities differ.")
@click.option("--exit-code", is_flag=True, help="Exit with 1 where something differs.")
@json_option
@click.pass_context
def command(
    ctx: click.Context,
    before: str,
    after: str | None,
    limit: int,
    probs: bool,
    exit_code: bool,
    as_json: bool,
) -> None:
    """Show which labels changed from BEFORE to AFTER, and which change did it.

    \b
    A version is one of
      labels-2         a folder that `gristmill label -o labels-2` wrote
      labels.parquet   a flat table; it holds no votes, so causes stay unknown
      labels           the newest result of the project's step `labels`
      labels~1         the result before it; ~2, ~3 and so on
      8d1c22           an artifact, by the first digits of its digest
    The name of a step alone compares its last two results.

    For each row, one change at a time (a source's votes, the model's weights, gold) is put into the
    version before, and taken out of the version after, and the label worked out again. The cause is
    the change that alone makes the new label, or without which it is gone; "together" where it took
    several. JSON lists every row.

    \b
    Example:
      gristmill label diff labels-1 labels-2
      gristmill label diff labels --json

    \b
    Exit codes:
      0  compared (with --exit-code: and nothing differs)
      1  something differs, with --exit-code
      2  wrong call, or nothing is called so
      5  labels that cannot be read or compared
    """
    from gristmill.cli.label_refs import load_pair
    from gristmill.label.versions.comparison import compare

    first, second, names = load_pair(before, after)
    found = compare(first, second, probs=probs)
    bare = [name for name, each in zip(names, (first, second), strict=True) if _is_flat(each)]
    if bare:
        found = replace(found, sources=found.sources.clear())
    payload = {"before": names[0], "after": names[1], **found.describe()}
    if as_json:
        payload["rows"] = found.rows.to_dicts()
    emit(payload, as_json, lambda: _show(found, names, limit, bare))
    if exit_code and found:
        ctx.exit(_DIFFERENT)


def _is_flat(version: Version) -> bool:
    from gristmill.cli.label_refs import FLAT
    from gristmill.label.versions.version import labels_of

    return labels_of(version).method == FLAT


def _show(found: Comparison, names: tuple[str, str], limit: int, bare: list[str]) -> None:
    say(f"{names[0]} -> {names[1]}: {_counted(found)}")
    for line in _sources(found):
        say(line)
    if not found:
        return
    causes = [
        [row["cause"], row["by"] or "", row["rows"]] for row in found.causes.iter_rows(named=True)
    ]
    table("what did it", ["cause", "source", "rows"], causes)
    moves = [
        [row["label_before"], row["label_after"], row["rows"]]
        for row in found.moves.head(10).iter_rows(named=True)
    ]
    if moves:
        table("labels", ["before", "after", "rows"], moves)
    if limit > 0:
        _show_rows(found.rows, limit)
    if bare:
        say(f"note: a flat table holds no votes, so causes are not known: {', '.join(bare)}")
    elif found.exact < 1:
        say(
            f"note: on {1 - found.exact:.1%} of these rows the stored scores do not give the "
            "label; their causes are likely, not certain"
        )


def _counted(found: Comparison) -> str:
    counts = found.counts
    words = {
        "label": "labels changed",
        "source": "changed their origin",
        "added": "rows added",
        "removed": "rows removed",
        "probs": "moved in probability only",
    }
    told = [f"{counts[kind]:,} {words[kind]}" for kind in words if counts[kind]]
    return f"{', '.join(told) or 'nothing differs'} ({counts['both']:,} rows in both)"


def _sources(found: Comparison) -> list[str]:
    """Say which sources differ; refitted weights follow from these, and from gold."""
    lines = []
    for status in ("changed", "added", "removed"):
        names = found.sources.filter(found.sources["status"] == status)["source"].to_list()
        if names:
            lines.append(f"sources {status}: {', '.join(names)}")
    return lines


def _show_rows(rows: pl.DataFrame, limit: int) -> None:
    shown = rows.head(limit).iter_rows(named=True)
    lines = [
        [
            str(row["row_id"]),
            row["label_before"] or "-",
            row["label_after"] or "-",
            row["prob_after"],
            _cause(row["cause"], row["by"], row["also"]),
        ]
        for row in shown
    ]
    table("rows", ["row", "before", "after", "prob", "because"], lines)
    if rows.height > limit:
        say(f"{rows.height - limit:,} more rows; list them with --limit {rows.height} or --json")


def _cause(cause: str, by: str | None, also: list[str] | None) -> str:
    named = f"{cause}: {by}" if by else cause
    if cause == "together":
        return f"together: {', '.join(also or [])}"
    return named
