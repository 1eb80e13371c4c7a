"""From what a user names to the source that reads it."""

from __future__ import annotations

import glob
from collections.abc import Sequence
from pathlib import Path
from typing import TypeAlias

from gristmill.core.errors import DataError, UsageError
from gristmill.data.files import existing_file, located
from gristmill.data.formats import format_of
from gristmill.data.remote_path import AnyPath, RemotePath, is_url
from gristmill.data.table import ROW_ID, TableLike, to_polars, with_row_id
from gristmill.serve.offline.scanned import ScannedSource
from gristmill.serve.offline.sliced import ArrayRows, FrameRows, ImageRows, SlicedSource, images_in
from gristmill.serve.offline.source import Source
from gristmill.serve.offline.text_source import TextSource
from gristmill.serve.offline.unique_ids import check_unique
from gristmill.store.signature import Field

Input: TypeAlias = TableLike | Sequence[str | Path]

_ARRAY = ".npy"
_ARROW = b"ARROW1"
_FORMATS = (
    "name a .parquet, .arrow, .csv, .tsv or .jsonl file (the last three perhaps .gz), a .npy "
    "array, or a folder of such files or of images"
)
_KINDS = {"string": "string", "int": "int", "float": "float", "bool": "bool"}


def open_source(data: Input, fields: Sequence[Field], *, lenient: bool = False) -> Source:
    """Open a table for a bundle that asks for these fields.

    Args:
        data: a frame; a file, a folder of files, a pattern, or a list of these. Files are tables
            (Parquet, Arrow, or CSV, TSV, JSON Lines, perhaps gzipped), one `.npy` array for a
            bundle of one tensor, or a folder of images for a bundle of one image.
        fields: of a request.
        lenient: set lines of text files aside that are no rows.

    Raises:
        DataError: nothing can be read, a required column is not there, or row ids repeat.
        UsageError: the files are not of one kind.
    """
    if not isinstance(data, str | Path | Sequence):
        frame = to_polars(data)
        with_row_id(frame.select(name for name in frame.columns if name == ROW_ID))
        return SlicedSource(FrameRows(frame))
    places = [data] if isinstance(data, str | Path) else list(data)
    image = next((field for field in fields if field.kind == "image"), None)
    if image is not None and len(places) == 1 and Path(places[0]).is_dir():
        folder = Path(places[0])
        if images := images_in(folder):
            return SlicedSource(ImageRows(folder, images, image.name))
    files = [file for place in places for file in files_of(place)]
    if any(file.suffix.lower() == _ARRAY for file in files):
        return _open_array(files, fields)
    return _open_tables(files, fields, lenient)


def files_of(place: str | Path) -> list[AnyPath]:
    """Return the tables that a file, a folder or a pattern names, in the order of their paths.

    Raises:
        DataError: there is none, or the file is empty or missing, or a store does not answer.
        UsageError: nothing is installed that reads such URLs.
    """
    if is_url(place):
        return _remote_files(RemotePath(str(place)))
    path = Path(place).expanduser()
    if path.is_dir():
        found = sorted(entry for entry in path.rglob("*") if _is_table(entry))
        if not found:
            raise DataError(
                "expected tables in this folder, found none",
                where=str(path),
                fix="name a folder with files such as .parquet or .csv",
            )
        return [existing_file(file) for file in found]
    if path.exists() or not glob.has_magic(str(place)):
        return [existing_file(path)]
    found = sorted(Path(name) for name in glob.iglob(str(path), recursive=True))  # noqa: PTH207
    if not found:
        raise DataError("no file fits the pattern", where=str(place), fix="check the pattern")
    return [file for entry in found for file in files_of(entry)]


def _remote_files(path: RemotePath) -> list[AnyPath]:
    if not glob.has_magic(path.url) and _has_format(path):
        return [located(path)]
    folder = RemotePath(f"{path.url.rstrip('/')}/*")
    found = path.glob() if glob.has_magic(path.url) else folder.glob()
    tables = [file for file in found if not file.name.startswith((".", "_")) and _has_format(file)]
    if not tables:
        raise DataError("expected tables there, found none", where=path.url, fix="check the URL")
    return [located(file) for file in tables]


def _is_table(path: Path) -> bool:
    return not path.name.startswith((".", "_")) and path.is_file() and _has_format(path)


def _has_format(path: AnyPath) -> bool:
    try:
        format_of(path)
    except DataError:
        return path.suffix.lower() == _ARRAY
    return True


def _open_array(files: Sequence[AnyPath], fields: Sequence[Field]) -> Source:
    wanted = [field for field in fields if field.required]
    file = files[0]
    if isinstance(file, RemotePath):
        raise UsageError("expected a .npy file on this machine, found one behind a URL",
                         where=file.url, fix="fetch it, or write a Parquet file")  # fmt: skip
    if len(files) != 1 or len(wanted) != 1:
        names = ", ".join(field.name for field in wanted) or "none"
        raise UsageError(
            f"expected one .npy file for a model of one field, found {len(files)} files "
            f"and the fields {names}",
            where=str(file),
            fix="write the columns of several fields as one Parquet file",
        )
    return SlicedSource(ArrayRows(file, wanted[0].name))


def _open_tables(files: Sequence[AnyPath], fields: Sequence[Field], lenient: bool) -> Source:
    formats = {file: _format(file) for file in files}
    streams = [file for file in files if _is_stream(file, formats[file])]
    if streams and len(streams) < len(files):
        raise UsageError(
            "expected text files or binary ones, found both",
            where=f"{streams[0].name} and {next(f for f in files if f not in streams).name}",
            fix="predict them one after the other",
        )
    if not streams:
        source = ScannedSource(files)
        if source.has_ids:
            check_unique(source.ids)
        return source
    kinds = {field.name: _KINDS[field.kind] for field in fields if field.kind in _KINDS}
    is_text = any(formats[file] != "arrow" for file in streams)
    text = TextSource(files, kinds, is_text=is_text, lenient=lenient)
    if text.has_ids:
        check_unique(text.ids)
    return text


def _format(file: AnyPath) -> str:
    try:
        return format_of(file)
    except DataError as error:
        raise DataError(error.message, where=error.where, fix=_FORMATS) from error


def _is_stream(file: AnyPath, kind: str) -> bool:
    """Tell whether a file can only be read from its beginning."""
    if kind != "arrow":
        return kind != "parquet"
    with file.open("rb") as opened:
        return opened.read(len(_ARROW)) != _ARROW
