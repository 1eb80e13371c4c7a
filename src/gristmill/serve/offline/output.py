"""The output: how a part becomes bytes, and how the bytes of all parts become a file or a folder.

Parts are encoded where they are answered, and joined by copying, while later ones are answered: row
groups of Parquet, lines of text, gzip members.
"""

from __future__ import annotations

import gzip
import io
import os
import re
import shutil
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, BinaryIO, Literal, TypeAlias, TypeVar

import msgspec
import polars as pl

from gristmill.core.atomic import sync_path
from gristmill.core.errors import UsageError
from gristmill.serve.offline.row_groups import RowGroupWriter

if TYPE_CHECKING:
    from polars._typing import PolarsDataType

Format: TypeAlias = Literal["parquet", "csv", "tsv", "jsonl", "folder"]
Piece = TypeVar("Piece")

_SUFFIXES: dict[str, Format] = {
    ".parquet": "parquet",
    ".pq": "parquet",
    ".csv": "csv",
    ".tsv": "tsv",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    "": "folder",
}
_SEPARATORS: dict[Format, str] = {"csv": ",", "tsv": "\t"}
_COMPRESSION: Literal["snappy"] = (
    "snappy"  # every reader knows it; probabilities hardly shrink under zstd
)
_GROUP_ROWS = 1 << 16
_SYNC_BYTES = 1 << 25
_URL = re.compile(r"\w+:/")  # a path has lost one of two slashes
_PART_NAME = re.compile(r"part-\d{8}\.parquet")


@dataclass(frozen=True)
class Output:
    """Where answers go.

    Attributes:
        path: a file, or a folder of Parquet files.
        format: of the file; `folder` for the folder.
        gzipped: whether the text is packed.
    """

    path: Path
    format: Format
    gzipped: bool = False

    @classmethod
    def of(cls, path: Path) -> Output:
        """Read the format off a name; without an ending it is a folder.

        Raises:
            UsageError: the ending is not known, or something is there that must not be replaced.
        """
        if _URL.match(str(path)):
            raise UsageError(
                "expected a place on this machine for the answers, found a URL",
                where=str(path),
                fix="pass it as text: a Path has lost one of its slashes",
            )
        gzipped = path.suffix.lower() == ".gz"
        suffix = Path(path.stem).suffix if gzipped else path.suffix
        found = _SUFFIXES.get(suffix.lower())
        if found is None or (gzipped and found in ("parquet", "folder")):
            raise UsageError(
                f"cannot tell what to write from the name {path.name!r}",
                where=str(path),
                fix="end it in .parquet, .csv, .tsv or .jsonl (the last three perhaps .gz), or in "
                "nothing, for a folder of Parquet files",
            )
        _check_target(path, found)
        return cls(path, found, gzipped)

    @property
    def nested(self) -> bool:
        """Whether the format can hold lists."""
        return self.format not in _SEPARATORS

    @property
    def is_lines(self) -> bool:
        """Whether it is one file of text, of which parts are lines."""
        return self.format in ("csv", "tsv", "jsonl")

    @property
    def is_folder(self) -> bool:
        """Whether each part is a file of its own."""
        return self.format == "folder"

    def encode(self, frame: pl.DataFrame) -> bytes:
        """Return a part as bytes: a whole Parquet file, or lines without a header."""
        buffer = io.BytesIO()
        if self.is_lines:
            self.write_lines(self.as_lines(frame), buffer)
        else:
            write_parquet(frame, buffer)
        data = buffer.getvalue()
        return gzip.compress(data, 6, mtime=0) if self.gzipped else data

    def as_lines(self, frame: pl.DataFrame) -> pl.DataFrame:
        """Return a frame whose cells fit into lines: without nesting where there may be none."""
        return readable_bytes(frame) if self.nested else flat(frame)

    def write_lines(self, frame: pl.DataFrame, file: IO[bytes]) -> None:
        """Write what `as_lines` returned, without a header, and not gzipped."""
        if self.format == "jsonl":
            frame.write_ndjson(file)
        else:
            frame.write_csv(file, include_header=False, separator=_SEPARATORS[self.format])

    def write(
        self, parts: Iterable[tuple[int, bytes]], columns: Iterable[str], draft: Path
    ) -> None:
        """Join parts into the file; it is there, whole, when this returns.

        Args:
            parts: rows and bytes of each, in order; at least one.
            columns: names of the table's.
            draft: a path on the same disk that nothing else uses.

        Raises:
            OSError: the disk refuses.
        """
        with draft.open("wb") as file:
            if self.format == "parquet":
                _write_parquet(to_disk(parts, file), file)
            else:
                file.write(self.header(columns))
                for _, data in to_disk(parts, file):
                    file.write(data)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(self.path)

    def collect(self, files: Iterable[Path], draft: Path) -> None:
        """Put parts that are files already into the folder; they stay where they are, too.

        Args:
            files: one each part, in order; they may be anywhere between memory and the disk.
            draft: a path on the same disk that nothing else uses.

        Raises:
            OSError: the disk refuses.
        """
        draft.mkdir()
        for number, file in enumerate(files):
            target = draft / f"part-{number:08d}.parquet"
            try:
                target.hardlink_to(file)
            except OSError:  # a file system without links
                shutil.copyfile(file, target)
            sync_path(target)
        old = draft.with_name(f"old{draft.suffix}")
        if self.path.exists():
            self.path.rename(old)
        draft.rename(self.path)
        shutil.rmtree(old, ignore_errors=True)

    def header(self, columns: Iterable[str]) -> bytes:
        """Return what stands before the lines of the first part; nothing in JSON Lines."""
        if self.format not in _SEPARATORS:
            return b""
        head = io.BytesIO()
        names = pl.DataFrame(schema=dict.fromkeys(columns, pl.String))
        names.write_csv(head, separator=_SEPARATORS[self.format])
        data = head.getvalue()
        return gzip.compress(data, 6, mtime=0) if self.gzipped else data


def write_parquet(frame: pl.DataFrame, file: IO[bytes]) -> None:
    """Write a part as a whole Parquet file."""
    frame.write_parquet(file, compression=_COMPRESSION)


def to_disk(pieces: Iterable[Piece], file: BinaryIO) -> Iterator[Piece]:
    """Yield pieces, and send to the disk what was written of them, not all of it at the end."""
    synced = file.tell()
    for piece in pieces:
        yield piece
        if file.tell() - synced >= _SYNC_BYTES:
            file.flush()
            os.fsync(file.fileno())
            synced = file.tell()


def flat(frame: pl.DataFrame) -> pl.DataFrame:
    """Return a frame for CSV: lists and records as JSON texts, durations as ISO 8601 has them."""
    nested = [name for name, dtype in frame.schema.items() if dtype.is_nested()]
    frame = frame.with_columns(pl.Series(name, _json_texts(frame[name])) for name in nested)
    return readable_bytes(frame).with_columns(pl.col(pl.Duration).dt.to_string("iso"))


def readable_bytes(frame: pl.DataFrame) -> pl.DataFrame:
    """Return a frame with bytes in base64; lists and records with bytes inside are JSON texts."""
    inside = [name for name, dtype in frame.schema.items() if dtype.is_nested() and _binary(dtype)]
    frame = frame.with_columns(pl.Series(name, _json_texts(frame[name])) for name in inside)
    return frame.with_columns(pl.col(pl.Binary).bin.encode("base64"))


def _binary(dtype: PolarsDataType) -> bool:
    """Whether there are bytes in a type, at any depth."""
    if isinstance(dtype, pl.Struct):
        return any(map(_binary, dtype.to_schema().values()))
    if isinstance(dtype, (pl.List, pl.Array)):
        return _binary(dtype.inner)
    return dtype == pl.Binary


def _json_texts(cells: pl.Series) -> pl.Series:
    kept = cells.drop_nulls()
    if _numbers(kept.dtype):
        found = _number_texts(kept)
    else:
        found = pl.Series([msgspec.json.encode(cell).decode() for cell in kept.to_list()],
                          dtype=pl.String)  # fmt: skip
    if not cells.null_count():
        return found
    empty = pl.repeat(None, len(cells), dtype=pl.String, eager=True)
    return empty.scatter(cells.is_not_null().arg_true(), found)


def _numbers(dtype: PolarsDataType) -> bool:
    """Whether a type is of lists of numbers, at any depth."""
    if isinstance(dtype, (pl.List, pl.Array)):
        return _numbers(dtype.inner)
    return dtype.is_float() or dtype.is_integer()


def _number_texts(cells: pl.Series) -> pl.Series:
    """Return lists of numbers as JSON texts, with the digits that their type has.

    They are written at once and then cut: a list at a time would take several times as long.
    """
    lines = cells.alias("").to_frame().write_ndjson().splitlines()
    return pl.Series(lines, dtype=pl.String).str.slice(len('{"":')).str.head(-1)


def _write_parquet(parts: Iterable[tuple[int, bytes]], file: BinaryIO) -> None:
    writer = RowGroupWriter(file)
    for data in _grouped(parts):
        writer.add(data)
    writer.finish()


def _grouped(parts: Iterable[tuple[int, bytes]]) -> Iterator[bytes]:
    """Yield whole Parquet files: parts as they are where they are large, else joined."""
    small: list[bytes] = []
    height = 0
    for rows, data in parts:
        if rows >= _GROUP_ROWS // 2 and not small:
            yield data
            continue
        small.append(data)
        height += rows
        if height >= _GROUP_ROWS // 2:
            yield _joined(small)
            small, height = [], 0
    if small:
        yield _joined(small)


def _joined(parts: list[bytes]) -> bytes:
    if len(parts) == 1:
        return parts[0]
    buffer = io.BytesIO()
    frames = [pl.read_parquet(io.BytesIO(data)) for data in parts]
    write_parquet(pl.concat(frames, rechunk=True), buffer)
    return buffer.getvalue()


def _check_target(path: Path, found: Format) -> None:
    if found != "folder":
        if path.is_dir():
            raise UsageError("expected a file to write, found a folder", where=str(path))
        return
    if path.exists() and not path.is_dir():
        raise UsageError("expected a folder to write, found a file", where=str(path))
    if path.is_dir():
        odd = [entry.name for entry in path.iterdir() if not _PART_NAME.fullmatch(entry.name)]
        if odd:
            raise UsageError(
                f"expected a new folder, or one of answers, found {sorted(odd)[0]!r} in it",
                where=str(path),
                fix="name another folder",
            )
