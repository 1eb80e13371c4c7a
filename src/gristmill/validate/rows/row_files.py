"""Good rows into one file, bad rows into another, whatever the size of the table."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from gristmill.core.atomic import atomic_file
from gristmill.core.errors import DataError
from gristmill.data.formats import format_of, write_table
from gristmill.validate.checks.report import REASONS
from gristmill.validate.rows.row_check import RowCheck

_SINKS: dict[str, Callable[[pl.LazyFrame, Path], object]] = {
    "csv": lambda lazy, path: lazy.sink_csv(path),
    "tsv": lambda lazy, path: lazy.sink_csv(path, separator="\t"),
    "jsonl": lambda lazy, path: lazy.sink_ndjson(path),
    "parquet": lambda lazy, path: lazy.sink_parquet(path),
    "arrow": lambda lazy, path: lazy.sink_ipc(path, compression="zstd"),
}


@dataclass(frozen=True)
class RowFiles:
    """What was written.

    Attributes:
        good, bad, unreadable: how many rows went where.
        reasons: how many rows each reason was given for, the most frequent first.
        unreadable_file: where lines that are no rows went; None where there are none.
        notes: what was mended while reading, and rules that could not be applied, in words.
    """

    good: int
    bad: int
    unreadable: int
    reasons: dict[str, int]
    unreadable_file: Path | None
    notes: tuple[str, ...] = ()


def write_rows(parts: Iterable[RowCheck], good: Path | None, bad: Path | None) -> RowFiles:
    """Write checked rows as they come; each file appears whole or not at all.

    Args:
        parts: from `iter_row_checks`.
        good: file for the good rows, typed; its suffix names the format. None writes none.
        bad: file for the bad rows with their reasons; lines that are no rows go to
            `<name>.unreadable.csv` beside it. In CSV the reasons are joined by "; ".

    Raises:
        DataError: a format cannot be told from its name, or the disk refuses.
    """
    targets = {path: _Target(path) for path in (good, bad) if path is not None}
    counts = {"good": 0, "bad": 0}
    reasons: dict[str, int] = {}
    last: RowCheck | None = None
    with tempfile.TemporaryDirectory(dir=_beside(targets), prefix=".rows-") as folder:
        for number, last in enumerate(parts):
            counts["good"] += last.good.height
            counts["bad"] += last.bad.height
            for reason, rows in last.counts().items():
                reasons[reason] = reasons.get(reason, 0) + rows
            for path, frame in ((good, last.good), (bad, last.bad)):
                if path is not None:
                    targets[path].add(frame, Path(folder), number)
        for target in targets.values():
            target.finish()
    lines = pl.DataFrame() if last is None else last.unreadable
    ranked = dict(sorted(reasons.items(), key=lambda pair: (-pair[1], pair[0])))
    return RowFiles(**counts, unreadable=lines.height, reasons=ranked,
                    unreadable_file=_write_lines(lines, bad),
                    notes=() if last is None else last.notes)  # fmt: skip


def refuse_unwritable(*targets: Path | None) -> None:
    """Refuse files that `write_rows` could not write, before the work is done.

    Raises:
        DataError: a name has no suffix that is known, or asks for a gzipped file.
    """
    for path in targets:
        if path is not None:
            _Target(path)


class _Target:
    """One file under way: its parts lie as Parquet until all are there."""

    def __init__(self, path: Path) -> None:
        if path.suffix.lower() == ".gz":
            raise DataError(
                "rows are not written gzipped",
                where=str(path),
                fix="leave .gz away, or use Parquet, which is compressed",
            )
        self.path, self.format = path, format_of(path)
        self.parts: list[Path] = []

    def add(self, frame: pl.DataFrame, folder: Path, number: int) -> None:
        place = folder / f"{len(self.parts):06d}-{self.path.name}-{number}.parquet"
        self._guarded(lambda: self._flat(frame).write_parquet(place))
        self.parts.append(place)

    def finish(self) -> None:
        lazy = pl.concat([pl.scan_parquet(part) for part in self.parts], how="diagonal_relaxed")
        with atomic_file(self.path) as draft:
            self._guarded(lambda: _SINKS[self.format](lazy, draft))

    def _flat(self, frame: pl.DataFrame) -> pl.DataFrame:
        if self.format not in ("csv", "tsv") or REASONS not in frame.columns:
            return frame
        return frame.with_columns(pl.col(REASONS).list.join("; "))

    def _guarded(self, write: Callable[[], object]) -> None:
        try:
            write()
        except (OSError, pl.exceptions.PolarsError) as error:
            raise DataError(
                f"the rows cannot be written: {error}",
                where=str(self.path),
                fix="write to a disk with room; lists need Parquet, Arrow or JSON Lines",
            ) from error


def _beside(targets: dict[Path, _Target]) -> Path | None:
    """The folder of the first target, so that files are moved within one disk."""
    return next((path.absolute().parent for path in targets), None)


def _write_lines(lines: pl.DataFrame, bad: Path | None) -> Path | None:
    if bad is None or not lines.height:
        return None
    return write_table(lines, bad.with_name(f"{bad.stem}.unreadable.csv"))
