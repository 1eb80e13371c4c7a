"""Tells a whole table of truths at once: weeks later, without a server."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from gristmill.core.errors import DataError
from gristmill.serve.watch.prediction_records import Truth
from gristmill.serve.watch.truth_log import Telling, TruthLog

if TYPE_CHECKING:
    import polars as pl

    from gristmill.data.table import TableLike
    from gristmill.serve.watch.keeping import Keeping

ID_COLUMNS = ("prediction_id", "id")
TRUTH_COLUMN = "label"
_WHO, _CORRECTION = "who", "correction"
_AT_ONCE = 10_000
_MOST_EXAMPLES = 5


class ToldSummary(msgspec.Struct, frozen=True):
    """What became of a table of truths.

    Attributes:
        rows: of the table.
        counts: rows by what became of them, as `TruthLog` says it, and "empty" ones without an id
            or a truth.
        examples: the first ids of what was not kept.
    """

    rows: int
    counts: dict[str, int]
    examples: dict[str, list[str]]


def tell_truths(
    folder: Path | str,
    truths: TableLike | Mapping[str, Truth],
    *,
    id_column: str = "",
    truth_column: str = TRUTH_COLUMN,
    who: str = "",
    correction: bool = False,
    keeping: Keeping | None = None,
) -> ToldSummary:
    """Keep what turned out to be true of predictions; a server may be running meanwhile.

    To tell the same again changes nothing, so that a table may be told as a whole whenever it has
    grown.

    Args:
        folder: of one served model or route, as `served_folder` names it.
        truths: a table with a column of ids and one of truths, and perhaps `who` and `correction`;
            or truths by id. An id is the name of a prediction, or the user's own id of a row.
        id_column: by default `prediction_id`, or `id`.
        truth_column: with class names, or values.
        who: told it, where the table does not say.
        correction: whether people looked at the predictions to say so, where the table doesn't say.
        keeping: how long truths are kept; None drops none.

    Raises:
        DataError: the table cannot be read or has no such columns.
        StoreError: the folder cannot be written, or is of another version.
        UsageError: no predictions were kept in this folder.
    """
    with TruthLog(Path(folder), keeping=keeping) as log:
        classes = log.refreshed()
        frame = _table(truths, id_column, truth_column, as_text=bool(classes))
        counts, examples = Counter[str](), dict[str, list[str]]()
        rows = 0
        for tellings in _in_parts(frame, id_column, truth_column, Telling("", "", who, correction)):
            rows += len(tellings)
            told = [each for each in tellings if each is not None]
            counts["empty"] += len(tellings) - len(told)
            for each, status in zip(told, log.tell(told), strict=True):
                counts[status] += 1
                some = examples.setdefault(status, [])
                if len(some) < _MOST_EXAMPLES:
                    some.append(each.reference)
    refused = ("unknown", "expired", "invalid")
    return ToldSummary(
        rows,
        {status: count for status, count in sorted(counts.items()) if count},
        {status: examples[status] for status in refused if status in examples},
    )


def _table(
    truths: TableLike | Mapping[str, Truth], id_column: str, truth_column: str, *, as_text: bool
) -> pl.DataFrame:
    import polars as pl

    from gristmill.data.formats import read_table
    from gristmill.data.table import to_polars

    if isinstance(truths, Mapping):
        columns = {id_column or ID_COLUMNS[0]: [*truths], truth_column: [*truths.values()]}
        return pl.DataFrame(columns, strict=False)
    if isinstance(truths, str | Path):
        # As text, so that class `1` is not read as a number, nor `007` as an id.
        return read_table(Path(truths), columns_as_text=as_text)
    return to_polars(truths)


def _in_parts(
    frame: pl.DataFrame, id_column: str, truth_column: str, default: Telling
) -> Iterator[list[Telling | None]]:
    """Yield what a table tells, some rows at a time; None for a row without an id or a truth."""
    known = [name for name in (id_column, *ID_COLUMNS) if name and name in frame.columns]
    if not known or (id_column and known[0] != id_column) or truth_column not in frame.columns:
        wanted = id_column or " or ".join(ID_COLUMNS)
        raise DataError(
            f"expected columns {wanted} and {truth_column}, found {', '.join(frame.columns)}",
            fix="name them: id_column and truth_column, on the command line --id and --truth",
        )
    optional = [name for name in (_WHO, _CORRECTION) if name in frame.columns]
    for part in frame.select(known[0], truth_column, *optional).iter_slices(_AT_ONCE):
        columns = {name: part[name].to_list() for name in part.columns}
        ids, values = columns[known[0]], columns[truth_column]
        who = columns.get(_WHO, [None] * len(ids))
        corrections = columns.get(_CORRECTION, [None] * len(ids))
        yield [
            None
            if id_ is None or value is None
            else Telling(
                str(id_),
                value,
                default.who if by is None else str(by),
                default.correction if corrected is None else _is_true(corrected),
            )
            for id_, value, by, corrected in zip(ids, values, who, corrections, strict=True)
        ]


def _is_true(cell: object) -> bool:
    return str(cell).lower() in ("true", "yes", "1")
