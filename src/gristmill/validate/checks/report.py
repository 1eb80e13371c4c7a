"""The report of a check: findings, the distances of every feature, and the rows to set aside."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Self

import msgspec
import polars as pl

from gristmill.core.atomic import write_atomic
from gristmill.core.errors import DataError, FindingsError
from gristmill.core.quantities import many
from gristmill.data.table import ROW_ID
from gristmill.validate.checks.findings import Finding
from gristmill.validate.drifts.drift import Drift
from gristmill.validate.schemas.edit import Edit
from gristmill.validate.statistics.statistics import Statistics

REASONS = "reasons"
_REPORT = "report.json"
_ROWS = "rows.json"
_CURRENT = "current"
_BEFORE = "before"
ORDER = {"error": 0, "warning": 1, "info": 2}
_SHOWN_BINS = 5


def no_unreadable() -> pl.DataFrame:
    """An empty table of unreadable lines."""
    return pl.DataFrame(schema={"line": pl.Int64, "text": pl.String, "reason": pl.String})


def no_rows() -> pl.DataFrame:
    """An empty table of bad rows."""
    return pl.DataFrame(schema={ROW_ID: pl.Int64, REASONS: pl.List(pl.String)})


@dataclass(frozen=True)
class Report:
    """What a check found.

    Attributes:
        name: what the checked table is called.
        checked_rows: how many rows it has.
        findings: what is wrong, errors first.
        drift: the distance of every feature to the baseline, alarming or not.
        rows: the bad rows: `row_id`, `reasons` (list of "code: feature"), in table order; empty
            when only statistics were checked.
        unreadable: what of a text file cannot be read as rows: `line` (from 1), `text`, `reason`;
            the first 1,000.
        current, before: the statistics of the checked table and of its baseline, for the page.
        notes: what was seen and mended while reading, "code: sentence".
    """

    name: str
    checked_rows: int
    findings: list[Finding]
    drift: list[Drift] = field(default_factory=list)
    rows: pl.DataFrame = field(default_factory=no_rows)
    unreadable: pl.DataFrame = field(default_factory=no_unreadable)
    current: Statistics | None = None
    before: Statistics | None = None
    notes: tuple[str, ...] = ()

    def read_as(self, unreadable: pl.DataFrame, notes: Sequence[str]) -> Report:
        """Return the report with what was seen while reading."""
        return replace(self, unreadable=unreadable, notes=tuple(notes))

    @property
    def ok(self) -> bool:
        """Whether no finding is an error."""
        return not any(finding.severity == "error" for finding in self.findings)

    @property
    def exit_code(self) -> int:
        """What a command that checks should exit with: 0, or 3 where a finding is an error."""
        return 0 if self.ok else FindingsError.exit_code

    @property
    def edits(self) -> list[Edit]:
        """The schema changes that would accept what was found; for a person to judge."""
        return [finding.edit for finding in self.findings if finding.edit is not None]

    @property
    def verdict(self) -> str:
        """One line: `5,001 rows: 2 errors, 1 warning; 17 bad rows`."""
        found = [f.severity for f in self.findings]
        parts = [many(found.count(word), word) for word in ORDER if word in found]
        bad = f"; {many(self.rows.height, 'bad row')}" if self.rows.height else ""
        return f"{many(self.checked_rows, 'row')}: {', '.join(parts) or 'no findings'}{bad}"

    def __str__(self) -> str:
        return "\n".join([self.verdict, *(line for f in self.findings for line in _lines(f))])

    def describe(self) -> dict[str, object]:
        """Say all but the bad rows themselves, JSON-able, in a form that stays."""
        return {
            "name": self.name,
            "rows": self.checked_rows,
            "ok": self.ok,
            "exit_code": self.exit_code,
            "verdict": self.verdict,
            "bad_rows": self.rows.height,
            "unreadable": self.unreadable.height,
            "findings": [_described(finding) for finding in self.findings],
            "drift": {d.feature: round(d.distance, 6) for d in self.drift},
            "notes": list(self.notes),
        }

    def save(self, folder: Path) -> None:
        """Write `report.json` and `rows.json` into a folder, and the statistics beside them."""
        document = _Document(
            self.name, self.checked_rows, self.findings, self.drift, list(self.notes)
        )
        write_atomic(folder / _REPORT, msgspec.json.format(msgspec.json.encode(document), indent=1))
        lines = [tuple(line) for line in self.unreadable.iter_rows()]
        rows = _Rows(self.rows[ROW_ID].to_list(), self.rows[REASONS].to_list(), lines)
        write_atomic(folder / _ROWS, msgspec.json.encode(rows))
        for name, statistics in ((_CURRENT, self.current), (_BEFORE, self.before)):
            if statistics is not None:
                (folder / name).mkdir(exist_ok=True)
                statistics.save(folder / name)

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read what `save` wrote.

        Raises:
            DataError: the folder holds no report, or a damaged one.
        """
        if not (folder / _REPORT).is_file():
            raise DataError(
                "there is no report here",
                where=str(folder),
                fix="keep one with `gristmill validate check DATA -o FOLDER`",
            )
        try:
            document = msgspec.json.decode((folder / _REPORT).read_bytes(), type=_Document)
            rows = msgspec.json.decode((folder / _ROWS).read_bytes(), type=_Rows)
        except (OSError, msgspec.MsgspecError) as error:
            raise DataError(
                f"expected a saved report, found something unreadable: {error}",
                where=str(folder),
                fix="check the data again",
            ) from error
        bad = bad_rows(rows.row_id, rows.reasons)
        lines = pl.DataFrame(rows.unreadable, schema=no_unreadable().schema, orient="row")
        return cls(
            document.name, document.rows, document.findings, document.drift, bad, lines,
            _statistics(folder / _CURRENT), _statistics(folder / _BEFORE), tuple(document.notes),
        )  # fmt: skip


class _Document(msgspec.Struct):
    name: str
    rows: int
    findings: list[Finding]
    drift: list[Drift]
    notes: list[str] = []


class _Rows(msgspec.Struct):
    row_id: list[int | str]
    reasons: list[list[str]]
    unreadable: list[tuple[int, str, str]]


def bad_rows(ids: Sequence[int | str], reasons: Sequence[Sequence[str]]) -> pl.DataFrame:
    """Put bad rows into a table: `row_id` and `reasons` (list of strings)."""
    kind = pl.String if ids and isinstance(ids[0], str) else pl.Int64
    # Few combinations of reasons in many rows: each list is made once.
    known = {each: code for code, each in enumerate(dict.fromkeys(map(tuple, reasons)))}
    lists = pl.Series(REASONS, [list(each) for each in known], dtype=pl.List(pl.String))
    codes = pl.Series([known[tuple(each)] for each in reasons], dtype=pl.UInt32)
    return pl.DataFrame([pl.Series(ROW_ID, ids, dtype=kind), lists.gather(codes)])


def _statistics(folder: Path) -> Statistics | None:
    return Statistics.load(folder) if folder.is_dir() else None


def _described(finding: Finding) -> dict[str, object]:
    evidence = msgspec.structs.asdict(finding.evidence)
    whole = msgspec.structs.asdict(finding) | {"evidence": evidence}
    accept = None if finding.edit is None else str(finding.edit)
    # Through JSON and back: what is described is what will be read.
    plain: dict[str, object] = msgspec.json.decode(msgspec.json.encode(whole | {"accept": accept}))
    return plain


def by_severity(findings: Sequence[Finding]) -> list[Finding]:
    """Order findings: errors first, otherwise as found."""
    return sorted(findings, key=lambda finding: ORDER[finding.severity])


def ranked(findings: Sequence[Finding]) -> list[Finding]:
    """Order findings: errors first, then by the share of cells or rows hit; ties as found."""
    return sorted(findings, key=lambda f: (ORDER[f.severity], -round(f.evidence.share, 6)))


def _lines(finding: Finding) -> list[str]:
    place = "" if finding.feature is None else f" {finding.feature}"
    head = f"{finding.severity}: {finding.code}{place}: {finding.message}"
    return [head, *(f"  {line}" for line in evidence_lines(finding))]


def evidence_lines(finding: Finding) -> list[str]:
    """Spell out what a finding rests on: row ids, shifted bins, and what would help."""
    evidence, lines = finding.evidence, []
    if evidence.rows:
        more = ", ..." if evidence.count > len(evidence.rows) else ""
        lines.append(f"rows: {', '.join(map(str, evidence.rows))}{more}")
    if evidence.distribution is not None:
        lines.extend(largest_shifts(evidence.distribution))
    if finding.edit is not None:
        lines.append(f"to accept: {finding.edit}")
    if finding.fix:
        lines.append(f"fix: {finding.fix}")
    return lines


def largest_shifts(drift: Drift) -> list[str]:
    """Name the bins that moved most: `<= 61: 5.0 % -> 20.1 %`."""
    moves = zip(drift.bins, drift.baseline, drift.current, strict=True)
    ranked = sorted(moves, key=lambda move: -abs(move[2] - move[1]))[:_SHOWN_BINS]
    return [f"{name}: {100 * old:.1f} % -> {100 * new:.1f} %" for name, old, new in ranked]
