"""What `gristmill label` tells, however the labels were made."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gristmill.cli.output import say, table, terminal_width

if TYPE_CHECKING:
    import polars as pl

    from gristmill.label.analysis.summary import Analysis
    from gristmill.label.gold import GoldRows

_DISPUTED = 5


@dataclass(frozen=True)
class Labelled:
    """What came of a table.

    Attributes:
        analysis: of the functions.
        facts: what `Labels.describe` says.
        model: what made the labels, in figures.
        gold: what gold says of some rows, and their ids; None without gold.
    """

    analysis: Analysis
    facts: dict[str, Any]
    model: dict[str, Any]
    gold: tuple[GoldRows, pl.Series] | None

    def payload(self, output: Path) -> dict[str, Any]:
        """Return all of it, JSON-able."""
        return {
            "labels": self.facts,
            "analysis": self.analysis.describe(),
            "model": self.model,
            "output": str(output),
        }

    def show(self) -> None:
        """Print the functions, the labels, and what gold says."""
        show_analysis(self.analysis)
        rows = max(self.facts["rows"], 1)
        counted = [[name, n, n / rows] for name, n in self.facts["classes"].items()]
        unlabelled = self.facts["unlabelled"]
        counted.append(["(no label)", unlabelled, unlabelled / rows])
        table("labels", ["class", "rows", "share"], counted)
        if self.gold is not None:
            _show_gold(self.facts, *self.gold)


def described(estimator: Any) -> dict[str, Any]:
    """Return a model in figures."""
    if hasattr(estimator, "describe"):
        told: dict[str, Any] = estimator.describe()
        return told
    return {"kind": "majority vote", "classes": list(estimator.classes)}


def show_analysis(analysis: Analysis) -> None:
    """Print the table of the labelling functions, and what a person should look at."""
    from gristmill.label.analysis.printing import lined_up

    cells = analysis.cells(terminal_width())
    header, *lines = lined_up(cells)
    say(
        f"{analysis.rows:,} rows: {analysis.coverage:.1%} covered, {analysis.overlap:.1%} by two "
        f"or more, {analysis.conflict:.1%} in conflict"
    )
    for line in ("", header, "─" * max(map(len, [header, *lines])), *lines, ""):
        say(line)
    if hidden := [name for name in analysis.cells()[0] if name not in cells[0]]:
        say(f"no room for {', '.join(hidden)}: widen the terminal, or see --json")
    for warning in analysis.warnings():
        say(f"note: {warning}")


def _show_gold(facts: dict[str, Any], found: GoldRows, row_ids: pl.Series) -> None:
    trust = facts["facts"].get("trust")
    rows = facts["sources"]["gold"]
    trusted = "" if trust is None or not rows else f", trust in weak labels {trust:.2f}"
    say(f"gold rows: {rows:,}{trusted}")
    if not len(found.disputed):
        return
    shown = ", ".join(str(row_ids[int(row)]) for row in found.disputed[:_DISPUTED])
    more = ", ..." if len(found.disputed) > _DISPUTED else ""
    settled = int((found.codes[found.disputed] >= 0).sum())
    say(
        f"note: gold rows on which annotators differ: {len(found.disputed):,} ({shown}{more}); "
        f"{settled:,} count as their likeliest class, {len(found.disputed) - settled:,} are a tie "
        "and do not count"
    )
