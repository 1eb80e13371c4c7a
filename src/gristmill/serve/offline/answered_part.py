"""A part's rows read, checked, and answered where nothing is wrong with them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple, Protocol

import numpy as np
import polars as pl
from numpy.typing import NDArray

from gristmill.core.errors import ServeError
from gristmill.data.odd_values import without_odd_values
from gristmill.serve.offline.answering import answer_rows, answers_schema
from gristmill.serve.offline.reading import RowReader, places_without
from gristmill.serve.runners.rows import Rows
from gristmill.serve.runners.runner import Runner


class Guard(Protocol):
    """A further check of rows; can be sent to other processes.

    Attributes:
        mark: fingerprint of all that its verdicts depend on, but the rows.
    """

    @property
    def mark(self) -> str:
        """Return a fingerprint of what is checked."""

    def __call__(self, rows: pl.DataFrame, /) -> dict[int, str]:
        """Return what is wrong with some rows, by their place."""


class Answered(NamedTuple):
    """What came of a part.

    Attributes:
        frame: its rows.
        answers: a row for each of them, null where there is none.
        reasons: by place, why not.
        warnings: by place, what the guard says of rows that were answered all the same.
    """

    frame: pl.DataFrame
    answers: pl.DataFrame
    reasons: dict[int, str]
    warnings: dict[int, str]


def answer_part(
    runner: Runner,
    frame: pl.DataFrame,
    reader: RowReader,
    batch_rows: int | None,
    guard: Guard | None,
    *,
    warn_only: bool,
) -> Answered:
    """Answer the rows of a part that nothing is wrong with.

    Args:
        runner: the model.
        frame: the rows, `row_id` first.
        reader: of its signature.
        batch_rows: most rows that the model sees at once; None for what suits them.
        guard: a further check.
        warn_only: whether it only warns.

    Raises:
        ServeError: the model can't be computed, whatever the row.
    """
    rows, reasons = reader(frame)
    frame = without_odd_values(frame)
    warnings = guard(frame) if guard is not None else {}
    if warnings and not warn_only:
        rows, reasons = _without(rows, reasons, frame.height, warnings)
        warnings = {}
    found = answer_rows(runner, rows, batch_rows)
    if 1 < rows.count == len(found.failed):
        raise ServeError(f"the model answers none of {rows.count} rows: {found.failed[0]}")
    if not reasons:
        return Answered(frame, found.frame, found.failed, warnings)
    places = places_without(frame.height, reasons)
    reasons = reasons | {int(places[at]): why for at, why in found.failed.items()}
    return Answered(frame, _spread(runner, found.frame, places, frame.height), reasons, warnings)


def _without(
    rows: Rows, reasons: dict[int, str], height: int, faults: Mapping[int, str]
) -> tuple[Rows, dict[int, str]]:
    """Take rows with faults out of the good ones of `height`, and add theirs to the reasons."""
    places = places_without(height, reasons)
    kept = [at for at, place in enumerate(places.tolist()) if place not in faults]
    joined = dict(reasons)
    for place, fault in faults.items():
        joined[place] = f"{joined[place]}; {fault}" if place in joined else fault
    return rows.select(np.array(kept, np.int64)), joined


def _spread(
    runner: Runner, answers: pl.DataFrame, places: NDArray[np.int64], height: int
) -> pl.DataFrame:
    """Put answers at their places, nulls at the others."""
    if not answers.height:
        columns = answers_schema(runner).items()
        return pl.DataFrame([pl.repeat(None, height, dtype=dtype, eager=True).alias(name)
                             for name, dtype in columns])  # fmt: skip
    at = np.full(height, -1)
    at[places] = np.arange(len(places))
    wanted = pl.Series(at).replace(-1, None)
    return answers.select(pl.all().gather(wanted))
