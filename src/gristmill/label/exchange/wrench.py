"""Folders as the WRENCH benchmark keeps them (Zhang et al. 2021, appendix on the data format).

`train.json`, `valid.json` and `test.json` map a row's id to {"label", "weak_labels", "data"}, with
-1 for an abstaining source; `label.json` maps class indexes to names; `meta.json`, where there is
one, names the sources under "lf".
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import polars as pl

from gristmill.core.atomic import write_atomic
from gristmill.core.errors import LabelError
from gristmill.data.table import ROW_ID
from gristmill.label.gold import Gold, gold_codes
from gristmill.label.votes import Votes

SPLITS = ("train", "valid", "test")


class _Row(msgspec.Struct, frozen=True):
    weak_labels: list[int]
    label: int = -1
    data: dict[str, Any] = {}


@dataclass(frozen=True, eq=False)
class WrenchSplit:
    """One split of a data set.

    Attributes:
        table: Polars frame: `row_id` (the file's ids, as text) and the fields of `data`.
        votes: of its sources.
        gold: row id -> class index, of the rows that have one.
    """

    table: pl.DataFrame
    votes: Votes
    gold: dict[str, int]


def read_wrench(folder: Path | str) -> dict[str, WrenchSplit]:
    """Read the splits that a WRENCH folder has: "train", "valid", "test" -> split.

    Raises:
        LabelError: there is no split or no `label.json`, or a file is not of that format; names
            file and row.
    """
    root = Path(folder)
    classes = _classes(root / "label.json")
    files = [split for split in SPLITS if (root / f"{split}.json").is_file()]
    if not files:
        raise LabelError(
            "expected train.json, valid.json or test.json, found none of them", where=str(root)
        )
    names = _source_names(root / "meta.json")
    return {split: _split(root / f"{split}.json", classes, names) for split in files}


def write_wrench(
    folder: Path | str,
    splits: Mapping[str, tuple[pl.DataFrame, Votes, Gold | None]],
) -> None:
    """Write splits as a WRENCH folder; each file appears whole or not at all.

    Args:
        folder: is made if it is not there.
        splits: "train", "valid" or "test" -> table with `row_id`, votes on its rows in its order,
            and gold. Ids become text.

    Raises:
        LabelError: a split has another name, the splits differ in classes or sources, or a table's
            rows are not those of its votes.
    """
    if not splits or not set(splits) <= set(SPLITS):
        raise LabelError(f"expected splits out of {', '.join(SPLITS)}, found {list(splits)}")
    first = next(iter(splits.values()))[1]
    encoded = {}
    for split, (table, votes, gold) in splits.items():
        if (votes.classes, votes.names) != (first.classes, first.names):
            raise LabelError("expected the same classes and sources in all splits", where=split)
        encoded[f"{split}.json"] = _encoded(split, table, votes, gold)
    encoded["label.json"] = {str(code): name for code, name in enumerate(first.classes)}
    encoded["meta.json"] = {"lf": list(first.names), "num_lf": len(first.names)}
    for name, content in encoded.items():
        write_atomic(Path(folder) / name, msgspec.json.encode(content))


def _classes(path: Path) -> tuple[str, ...]:
    named = _decode(path, dict[str, str | int])
    if set(named) != {str(code) for code in range(len(named))}:
        raise LabelError(
            f"expected the class indexes 0 to {len(named) - 1}, found {sorted(named)[:8]}",
            where=str(path),
        )
    return tuple(str(named[str(code)]) for code in range(len(named)))


def _source_names(path: Path) -> list[str] | None:
    if not path.is_file():
        return None
    names = _decode(path, dict[str, Any]).get("lf")
    if names is None:
        return None
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise LabelError(f"expected a list of names under 'lf', found {names!r}", where=str(path))
    return names


def _split(path: Path, classes: Sequence[str], names: Sequence[str] | None) -> WrenchSplit:
    raw = _decode(path, dict[str, msgspec.Raw])
    if not raw:
        raise LabelError("expected at least one row, found none", where=str(path))
    rows = {row_id: _row(path, row_id, text) for row_id, text in raw.items()}
    sources = {len(row.weak_labels) for row in rows.values()}
    if len(sources) > 1:
        raise LabelError(
            f"expected as many votes in each row, found {sorted(sources)}", where=str(path)
        )
    votes = _votes(path, rows, classes, names)
    fields = [{ROW_ID: row_id, **row.data} for row_id, row in rows.items()]
    try:
        table = pl.DataFrame(fields, infer_schema_length=None)
    except (pl.exceptions.PolarsError, TypeError, ValueError) as error:
        raise LabelError(f"the data are not alike in all rows: {error}", where=str(path)) from error
    gold = {row_id: row.label for row_id, row in rows.items() if row.label != -1}
    try:
        gold_codes(gold, votes)
    except LabelError as error:
        raise LabelError(error.message, where=f"{path}, {error.where}") from None
    return WrenchSplit(table, votes, gold)


def _votes(
    path: Path, rows: Mapping[str, _Row], classes: Sequence[str], names: Sequence[str] | None
) -> Votes:
    try:
        matrix = np.array([row.weak_labels for row in rows.values()], np.int64)
        return Votes.from_matrix(matrix, classes=classes, names=names, row_ids=list(rows))
    except LabelError as error:
        where = f"{path}, {error.where}" if error.where else str(path)
        raise LabelError(error.message, where=where, fix=error.fix) from None
    except OverflowError as error:
        raise LabelError("a vote is far outside the classes", where=str(path)) from error


def _row(path: Path, row_id: str, text: msgspec.Raw) -> _Row:
    try:
        row = msgspec.json.decode(text, type=_Row)
    except msgspec.DecodeError as error:
        raise LabelError(
            f"expected label, weak_labels and data: {error}", where=f"{path}, row {row_id!r}"
        ) from error
    if ROW_ID in row.data:
        raise LabelError(f"a field is called {ROW_ID!r}", where=f"{path}, row {row_id!r}")
    return row


def _decode(path: Path, kind: Any) -> Any:
    if not path.is_file():
        raise LabelError(
            "a WRENCH folder has label.json and a file for each split, this one is not there",
            where=str(path),
            fix="name the folder that holds label.json, train.json, valid.json and test.json",
        )
    try:
        return msgspec.json.decode(path.read_bytes(), type=kind)
    except (OSError, msgspec.DecodeError, RecursionError) as error:
        raise LabelError(f"this is no file of a WRENCH folder: {error}", where=str(path)) from error


def _encoded(split: str, table: pl.DataFrame, votes: Votes, gold: Gold | None) -> dict[str, object]:
    ids = votes.row_ids.to_list()
    if ROW_ID not in table.columns or table[ROW_ID].to_list() != ids:
        raise LabelError("expected the table's row_id to be those of the votes", where=split)
    labels = gold_codes(gold, votes).tolist()
    fields = table.drop(ROW_ID).to_dicts() if table.width > 1 else [{}] * len(ids)
    return {
        str(row_id): {"label": label, "weak_labels": said, "data": data}
        for row_id, label, said, data in zip(
            ids, labels, votes.matrix.tolist(), fields, strict=True
        )
    }
