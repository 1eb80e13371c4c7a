"""JSON Lines: one object a line."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

import msgspec
import polars as pl

from gristmill.core.errors import DataError
from gristmill.data import files
from gristmill.data.read_log import REJECTS_SCHEMA
from gristmill.data.remote_path import AnyPath

_DECODE = msgspec.json.Decoder().decode
_SCALARS = {str, int, float, bool}
_NUMBERS = {int, float}


def read_json_lines(path: AnyPath, encoding: str, *, as_text: bool = False) -> pl.DataFrame:
    """Read a file; the first bad line is an error that names it.

    Raises:
        DataError: see `gristmill.data.read_table`.
    """
    data = files.to_utf8(files.read_bytes(path), encoding, str(path))
    rows = {}
    for number, _, value in _objects(data):
        if isinstance(value, str):
            raise DataError(
                value,
                where=f"{path}, line {number}",
                fix=files.BAD_LINE_FIX,
            )
        rows[number] = value
    return _to_frame(rows, str(path), as_text=as_text)


def read_json_lines_with_rejects(
    path: AnyPath, *, as_text: bool = False
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Read a UTF-8 file, setting bad lines aside: (good rows, rejects[line, text, reason])."""
    rows, rejects = {}, []
    for number, line, value in _objects(files.read_bytes(path).removeprefix(b"\xef\xbb\xbf")):
        if isinstance(value, str):
            rejects.append((number, line.decode("utf-8", "replace"), value))
        else:
            rows[number] = value
    good = _to_frame(rows, str(path), as_text=as_text)
    return good, pl.DataFrame(rejects, schema=REJECTS_SCHEMA, orient="row")


def _objects(data: bytes) -> Iterator[tuple[int, bytes, dict[str, object] | str]]:
    """Yield (line number, line, object or what is wrong with it), blank lines left out."""
    for number, line in enumerate(data.split(b"\n"), start=1):
        if line.strip():
            yield number, line, decoded_line(line)


def decoded_line(line: bytes) -> dict[str, object] | str:
    """Return the object on a line, or what is wrong with it."""
    try:
        value = _DECODE(line)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        return f"the line is not JSON: {error}"
    if isinstance(value, dict):
        return value
    found = "an array" if isinstance(value, list) else type(value).__name__
    return f"expected a JSON object on the line, found {found}"


def _to_frame(rows: dict[int, dict[str, object]], where: str, *, as_text: bool) -> pl.DataFrame:
    kinds: dict[str, set[type]] = defaultdict(set)
    for row in rows.values():
        for name, value in row.items():
            kinds[name].add(type(value))
    texts = [name for name, found in kinds.items() if _is_text(found, as_text=as_text)]
    for name, found in kinds.items():
        _check_nesting(rows, name, found - {type(None)}, where)
    columns = {
        name: [_as_text(row.get(name)) if name in texts else row.get(name) for row in rows.values()]
        for name in kinds
    }
    return pl.DataFrame(columns, strict=False)


def _is_text(found: set[type], *, as_text: bool) -> bool:
    """Tell whether a column of these JSON types is kept as text: it mixes them, or all are."""
    real = found - {type(None)}
    mixed = len(real) > 1 and not real <= _NUMBERS
    return real <= _SCALARS and (as_text or mixed or not real)


def _as_text(value: object) -> str | None:
    if value is None or isinstance(value, str):
        return value
    return msgspec.json.encode(value).decode()


def _check_nesting(
    rows: dict[int, dict[str, object]], name: str, found: set[type], where: str
) -> None:
    if found <= _SCALARS or len(found) == 1:
        return
    first = type(next(row[name] for row in rows.values() if row.get(name) is not None))
    odd = next(
        number
        for number, row in rows.items()
        if row.get(name) is not None and type(row[name]) is not first
    )
    raise DataError(
        f"expected {first.__name__} as on earlier lines, found {type(rows[odd][name]).__name__}",
        where=f"{where}, line {odd}, column {name!r}",
        fix="keep one shape per column: a value, a list or an object",
    )
