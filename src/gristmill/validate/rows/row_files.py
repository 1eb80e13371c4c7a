"""Good rows into one file, bad rows into another, whatever the size of the table."""

from __future__ import annotations

import io
import re
import secrets
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl

from gristmill.core.atomic import atomic_file
from gristmill.core.errors import DataError
from gristmill.core.progress import task
from gristmill.data.formats import format_of, write_table
from gristmill.data.pieces import check_seen
from gristmill.data.remote_path import AnyPath, RemotePath, is_url, polars_source
from gristmill.data.staged_output import staged, staging_place
from gristmill.data.table import TableLike
from gristmill.engine.current import chosen_engine
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
    unreadable_file: Path | str | None
    notes: tuple[str, ...] = ()


def write_rows(
    parts: Iterable[RowCheck], good: Path | str | None, bad: Path | str | None
) -> RowFiles:
    """Write checked rows as they come; each file appears whole or not at all.

    Args:
        parts: from `iter_row_checks`.
        good: file for the good rows, typed; its suffix names the format. None writes none. Or the
            URL of one, as text.
        bad: file for the bad rows with their reasons; lines that are no rows go to
            `<name>.unreadable.csv` beside it. In CSV the reasons are joined by "; ". Or a URL.

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
    good: Path | str | None,
    bad: Path | str | None,
    *,
    environment: str | None = None,
    rare: float = RARE,
    engine: Engine | str | None = None,
) -> RowFiles:
    """Check rows as `check_rows` does, and write them as `write_rows` does.

    On an engine, workers write the rows of a part, each part whole or not at all, to a folder
    beside the files; here they are only put together, in order. For the URL of a file that folder
    is in the store where workers are on other machines, else on this one.

    Raises:
        DataError: nothing of the data can be read, a format cannot be told from its name, the disk
            refuses, or workers are on machines that do not see the folder.
        UsageError: the schema knows no such environment.
    """
    splitter = RowSplitter.of(schema, data, environment, rare)

    def written(where: Engine | None, writer: _PartWriter) -> Iterator[_Written]:
        with task("check rows", None, "rows") as work:
            for part in splitter.each(writer.write, where):
                work.advance(part.good + part.bad)
                yield part

    with chosen_engine(engine) as where:
        return _put_together(
            good, bad, partial(written, where),
            lambda: (splitter.stream.unreadable, splitter.notes),
            is_shared=where is None or where.shares_files,
        )  # fmt: skip


def _put_together(
    good: Path | str | None,
    bad: Path | str | None,
    written: Callable[[_PartWriter], Iterator[_Written]],
    seen: Callable[[], tuple[pl.DataFrame, tuple[str, ...]]],
    *,
    is_shared: bool = True,
) -> RowFiles:
    """Let parts be written and join them; `seen` then tells unreadable lines, and notes.

    Args:
        is_shared: whether those who write parts see this machine's files.
    """
    counts, parts = {"good": 0, "bad": 0}, 0
    reasons: dict[str, int] = {}
    chosen = {name: path for name, path in (("good", good), ("bad", bad)) if path is not None}
    with ExitStack() as opened:
        places = {name: opened.enter_context(staged(path)) for name, path in chosen.items()}
        targets = {name: _Target(place) for name, place in places.items()}
        remote = next((str(path) for path in chosen.values() if is_url(path)), None)
        folder = (
            opened.enter_context(_folder_beside(places))
            if is_shared or remote is None
            else opened.enter_context(_folder_in_store(RemotePath(remote)))
        )
        for part in written(_PartWriter(folder, targets)):
            parts += 1
            counts["good"] += part.good
            counts["bad"] += part.bad
            for reason, rows in part.reasons.items():
                reasons[reason] = reasons.get(reason, 0) + rows
        for name, target in targets.items():
            target.join([_place(folder, number, name) for number in range(parts)])
        lines, notes = seen()
        beside = _write_lines(lines, places.get("bad"))
    ranked = dict(sorted(reasons.items(), key=lambda pair: (-pair[1], pair[0])))
    return RowFiles(**counts, unreadable=lines.height, reasons=ranked,
                    unreadable_file=_named(beside, bad), notes=notes)  # fmt: skip


def _named(beside: Path | None, bad: Path | str | None) -> Path | str | None:
    """Return the name of the file beside that of the bad rows, wherever that is stored."""
    if beside is None or not is_url(bad):
        return beside
    return str(RemotePath(str(bad)).with_name(beside.name))


def refuse_unwritable(*targets: Path | str | None) -> None:
    """Refuse files that `write_rows` could not write, before the work is done.

    Raises:
        DataError: a name has no suffix that is known, or asks for a gzipped file.
    """
    for path in targets:
        if path is not None:
            _Target(staging_place(path))


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

    folder: AnyPath
    targets: Mapping[str, _Target]

    def write(self, number: int, checked: RowCheck) -> _Written:
        """Write one part; written again, it is the same."""
        if isinstance(self.folder, Path):
            check_seen(self.folder)
        for name, target in self.targets.items():
            target.write(getattr(checked, name), _place(self.folder, number, name))
        return _Written(checked.good.height, checked.bad.height, checked.counts(), checked.notes)


def _place(folder: AnyPath, number: int, name: str) -> AnyPath:
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
                "rows are written to files, found a URL that is a Path",
                where=str(path),
                fix="pass it as text: a Path has lost one of its slashes",
            )
        self.path, self.format = path.absolute(), format_of(path)

    def write(self, frame: pl.DataFrame, place: AnyPath) -> None:
        """Write a part's rows to their place, whole or not at all."""
        if isinstance(place, RemotePath):
            buffer = io.BytesIO()
            self._guarded(lambda: self._flat(frame).write_parquet(buffer))
            place.write_bytes(buffer.getvalue())
            return
        # Another worker may have begun it and died; nothing of this outlives the machine.
        draft = place.with_name(f".{place.name}.{secrets.token_hex(6)}")
        self._guarded(lambda: self._flat(frame).write_parquet(draft))
        draft.replace(place)

    def join(self, parts: list[AnyPath]) -> None:
        """Make the file of its parts."""
        scans = [pl.scan_parquet(**polars_source(part)) for part in parts]
        lazy = pl.concat(scans, how="diagonal_relaxed")
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


@contextmanager
def _folder_beside(places: Mapping[str, Path]) -> Iterator[Path]:
    """Give a folder beside the first file, so that files are moved within one disk."""
    beside = next((place.absolute().parent for place in places.values()), None)
    with tempfile.TemporaryDirectory(dir=beside, prefix=".rows-") as folder:
        yield Path(folder)


@contextmanager
def _folder_in_store(file: RemotePath) -> Iterator[RemotePath]:
    """Give a folder beside an object, which is empty in the end."""
    folder = file.with_name(f".rows-{secrets.token_hex(6)}")
    try:
        yield folder
    finally:
        for part in folder.files():
            part.unlink()


def _write_lines(lines: pl.DataFrame, bad: Path | None) -> Path | None:
    if bad is None or not lines.height:
        return None
    return write_table(lines, bad.with_name(f"{bad.stem}.unreadable.csv"))
