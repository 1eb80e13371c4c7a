"""Good rows into one file, bad rows into another, whatever the size of the table."""

from __future__ import annotations

import re
import secrets
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl

from gristmill.core.atomic import atomic_file
from gristmill.core.errors import DataError
from gristmill.core.progress import task
from gristmill.data.formats import format_of, write_table
from gristmill.data.pieces import check_seen
from gristmill.data.table import TableLike
from gristmill.validate.checks.report import REASONS
from gristmill.validate.rows.limits import RARE
from gristmill.validate.rows.row_check import RowCheck, RowSplitter
from gristmill.validate.schemas.schema import Schema

if TYPE_CHECKING:
    from gristmill.engine.protocol import Engine

_SINKS: dict[str, Callable[[pl.LazyFrame, Path], object]] = {
    "csv": lambda lazy, path: lazy.sink_csv(path),
    "tsv": lambda lazy, path: lazy.sink_csv(path, separator="\t"),
    "jsonl": lambda lazy, path: lazy.sink_ndjson(path),
    "parquet": lambda lazy, path: lazy.sink_parquet(path),
    "arrow": lambda lazy, path: lazy.sink_ipc(path, compression="zstd"),
}


_URL = re.compile(r"\w{2,}:/")


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
    last: list[RowCheck] = []

    def written(writer: _PartWriter) -> Iterator[_Written]:
        for number, part in enumerate(parts):
            last[:] = [part]
            yield writer.write(number, part)

    def seen() -> tuple[pl.DataFrame, tuple[str, ...]]:
        return (last[0].unreadable, last[0].notes) if last else (pl.DataFrame(), ())

    return _put_together(good, bad, written, seen)


def split_rows(
    schema: Schema,
    data: TableLike | Sequence[str | Path],
    good: Path | None,
    bad: Path | None,
    *,
    environment: str | None = None,
    rare: float = RARE,
    engine: Engine | str | None = None,
) -> RowFiles:
    """Check rows as `check_rows` does, and write them as `write_rows` does.

    On an engine, workers write the rows of a part, each part whole or not at all, to a folder
    beside the files; here they are only put together, in order.

    Raises:
        DataError: nothing of the data can be read, a format cannot be told from its name, the disk
            refuses, or workers are on machines that do not see the folder.
        UsageError: the schema knows no such environment.
    """
    splitter = RowSplitter.of(schema, data, environment, rare)

    def written(writer: _PartWriter) -> Iterator[_Written]:
        with task("check rows", None, "rows") as work:
            for part in splitter.each(writer.write, engine):
                work.advance(part.good + part.bad)
                yield part

    return _put_together(good, bad, written,
                         lambda: (splitter.stream.unreadable, splitter.notes))  # fmt: skip


def _put_together(
    good: Path | None,
    bad: Path | None,
    written: Callable[[_PartWriter], Iterator[_Written]],
    seen: Callable[[], tuple[pl.DataFrame, tuple[str, ...]]],
) -> RowFiles:
    """Let parts be written and join them; `seen` then tells unreadable lines, and notes."""
    targets = {name: _Target(path) for name, path in (("good", good), ("bad", bad)) if path}
    counts, parts = {"good": 0, "bad": 0}, 0
    reasons: dict[str, int] = {}
    with tempfile.TemporaryDirectory(dir=_beside(targets), prefix=".rows-") as folder:
        for part in written(_PartWriter(Path(folder), targets)):
            parts += 1
            counts["good"] += part.good
            counts["bad"] += part.bad
            for reason, rows in part.reasons.items():
                reasons[reason] = reasons.get(reason, 0) + rows
        for name, target in targets.items():
            target.join([_place(Path(folder), number, name) for number in range(parts)])
    lines, notes = seen()
    ranked = dict(sorted(reasons.items(), key=lambda pair: (-pair[1], pair[0])))
    return RowFiles(**counts, unreadable=lines.height, reasons=ranked,
                    unreadable_file=_write_lines(lines, bad), notes=notes)  # fmt: skip


def refuse_unwritable(*targets: Path | None) -> None:
    """Refuse files that `write_rows` could not write, before the work is done.

    Raises:
        DataError: a name has no suffix that is known, or asks for a gzipped file.
    """
    for path in targets:
        if path is not None:
            _Target(path)


@dataclass(frozen=True)
class _Written:
    """What came of a part whose rows are written.

    Attributes:
        good, bad: how many rows went where.
        reasons: how many rows each reason was given for.
        notes: rules that could not be applied, in words.
    """

    good: int
    bad: int
    reasons: dict[str, int]
    notes: tuple[str, ...]

    @property
    def rows(self) -> int:
        """How many rows the part has."""
        return self.good + self.bad


@dataclass(frozen=True)
class _PartWriter:
    """Writes the rows of single parts, as Parquet, into one folder; travels to workers."""

    folder: Path
    targets: Mapping[str, _Target]

    def write(self, number: int, checked: RowCheck) -> _Written:
        """Write one part; written again, it is the same."""
        check_seen(self.folder)
        for name, target in self.targets.items():
            target.write(getattr(checked, name), _place(self.folder, number, name))
        return _Written(checked.good.height, checked.bad.height, checked.counts(), checked.notes)


def _place(folder: Path, number: int, name: str) -> Path:
    return folder / f"{number:06d}-{name}.parquet"


class _Target:
    """One file under way: its parts lie as Parquet until all are there."""

    def __init__(self, path: Path) -> None:
        if path.suffix.lower() == ".gz":
            raise DataError(
                "rows are not written gzipped",
                where=str(path),
                fix="leave .gz away, or use Parquet, which is compressed",
            )
        if _URL.match(str(path)):
            raise DataError(
                "rows are written to files, found a URL",
                where=str(path),
                fix="write them to a folder that this machine and all workers see",
            )
        self.path, self.format = path.absolute(), format_of(path)

    def write(self, frame: pl.DataFrame, place: Path) -> None:
        """Write a part's rows to their place, whole or not at all."""
        # Another worker may have begun it and died; nothing of this outlives the machine.
        draft = place.with_name(f".{place.name}.{secrets.token_hex(6)}")
        self._guarded(lambda: self._flat(frame).write_parquet(draft))
        draft.replace(place)

    def join(self, parts: list[Path]) -> None:
        """Make the file of its parts."""
        lazy = pl.concat([pl.scan_parquet(part) for part in parts], how="diagonal_relaxed")
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


def _beside(targets: Mapping[str, _Target]) -> Path | None:
    """The folder of the first target, so that files are moved within one disk."""
    return next((target.path.parent for target in targets.values()), None)


def _write_lines(lines: pl.DataFrame, bad: Path | None) -> Path | None:
    if bad is None or not lines.height:
        return None
    return write_table(lines, bad.with_name(f"{bad.stem}.unreadable.csv"))
