"""Gold labels: what experts said, by row id."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeAlias, Union

import numpy as np
from numpy.typing import NDArray

from gristmill.core.errors import LabelError
from gristmill.data.table import ROW_ID
from gristmill.label.codes import describe_classes

if TYPE_CHECKING:
    from narwhals.typing import IntoFrame

    from gristmill.label.vote import Vote
    from gristmill.label.votes import Votes

Gold: TypeAlias = Union["Mapping[int, Vote]", "Mapping[str, Vote]", "IntoFrame"]
"""Row id -> class index or name; or a data frame with the columns `row_id` and `label`."""

UNKNOWN = -1


def gold_codes(gold: Gold | None, votes: Votes) -> NDArray[np.int64]:
    """Return the gold class of each row of the votes: int64[n], -1 where there is none.

    Raises:
        LabelError: a label is outside the classes, a row id is not among the votes', or one row
            has two labels that differ.
    """
    codes = np.full(len(votes), UNKNOWN, np.int64)
    if gold is None:
        return codes
    place = {row_id: position for position, row_id in enumerate(votes.row_ids.to_list())}
    known = {name: index for index, name in enumerate(votes.classes)}
    for row_id, label in _pairs(gold):
        if label is None or (not isinstance(label, str) and label == UNKNOWN):
            continue
        code = _code(row_id, label, known, votes.classes)
        if row_id not in place:
            raise LabelError(
                f"gold labels row {row_id!r}, which is not among the {len(votes)} rows voted on",
                fix="gold must use the row ids of the table that the votes are about",
            )
        before = codes[place[row_id]]
        if before not in (UNKNOWN, code):
            raise LabelError(
                f"gold labels row {row_id!r} as {votes.classes[before]!r} "
                f"and as {votes.classes[code]!r}",
                fix="settle it, or leave the row out",
            )
        codes[place[row_id]] = code
    return codes


def _pairs(gold: Any) -> list[tuple[Any, Any]]:
    if isinstance(gold, Mapping):
        return list(gold.items())
    from gristmill.data.table import as_table

    columns = as_table(gold)
    if "label" not in columns.columns or ROW_ID not in getattr(gold, "columns", ()):
        raise LabelError(
            f"expected gold with columns {ROW_ID!r} and 'label', found {list(columns.columns)}",
            fix="rename the columns; row_id counts the rows of the labelled table from 0 "
            "unless it has ids of its own",
        )
    return list(columns.select(ROW_ID, "label").iter_rows())


def _code(row_id: object, label: Any, known: Mapping[str, int], classes: tuple[str, ...]) -> int:
    code = known.get(label, UNKNOWN) if isinstance(label, str) else label
    whole = isinstance(code, int | np.integer) and not isinstance(code, bool)
    if not whole or not 0 <= code < len(classes):
        raise LabelError(
            f"gold label {label!r} is none of the classes {describe_classes(classes)}",
            where=f"row {row_id!r}",
        )
    return int(code)
