"""Augmentation: transformed copies of rows, beside their originals."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import polars as pl
from numpy.typing import NDArray

from gristmill.core.errors import LabelError
from gristmill.core.progress import task
from gristmill.core.seeds import derive_seed
from gristmill.data.table import ROW_ID, TableLike, as_table
from gristmill.label.augmenting.answers import batch_answers, row_answers
from gristmill.label.augmenting.policies import ApplyOne, Policy
from gristmill.label.augmenting.row_hashes import copy_ids, row_words, uniform
from gristmill.label.augmenting.transformation import TransformationFunction
from gristmill.label.labels import Labels

ORIGIN = "augmented_from"
APPLIED = "augmented_by"

_PLACE = "__place"
_OURS = (_PLACE, ORIGIN, APPLIED)


def augment(
    functions: Sequence[TransformationFunction],
    table: TableLike,
    *,
    policy: Policy | None = None,
    n_per_original: int = 1,
    keep_original: bool = True,
    where: pl.Expr | None = None,
    seed: int = 0,
) -> pl.DataFrame:
    """Return a table with transformed copies of its rows.

    A function that answers None for a row is passed over; a copy that no function changed is not
    made. All other columns are carried over, so that a copy has the label, the group and the split
    of its original. What a row's copies are depends on its values, its id and the seed alone. To
    split afterwards, split by `augmented_from`, which keeps copies beside their original.

    Args:
        functions: one or more, of different names.
        table: any data frame, or a path.
        policy: which functions make a copy; default `ApplyOne()`.
        n_per_original: copies of a row (for each function, under `ApplyEach`), at least 1.
        keep_original: whether the rows themselves come first, each before its copies.
        where: rows to copy, as `pl.col("split") == "train"`; the others only pass through, if
            originals are kept.
        seed: of what policies and functions draw.

    Returns:
        The columns of the table, `augmented_from` (the id of the original, a row's own for an
        original) and `augmented_by` (the names of the functions that changed it, in order). A
        copy's `row_id` is `copy_id(original, number)`.

    Raises:
        LabelError: no functions, two of one name, a column is named as ours, or a function raised
            (named with the row) or answered with something that does not fit.
    """
    frame = _with_wide_ids(as_table(table))
    policy = ApplyOne() if policy is None else policy
    _check(functions, frame, n_per_original)
    chosen = frame if where is None else frame.filter(where)
    copies, sequences = _plan(chosen, len(functions), policy, n_per_original, seed)
    made = _transform(copies, sequences, functions, seed).filter(pl.col(APPLIED).list.len() > 0)
    return _beside(frame, made) if keep_original else made.drop(_PLACE)


def carry_labels(labels: pl.DataFrame | Labels, augmented: pl.DataFrame) -> pl.DataFrame:
    """Return a labels table for an augmented table: a copy has what its original has.

    Rows whose original has no label are left out.

    Args:
        labels: labels, or a table of labels with `row_id`.
        augmented: what `augment` returned.

    Raises:
        LabelError: it is not what `augment` returned, or these are no labels.
    """
    labels = labels.table if isinstance(labels, Labels) else labels
    for each in (labels, augmented):
        if not isinstance(each, pl.DataFrame):
            raise LabelError(
                f"expected labels and an augmented table, found {type(each).__name__}",
                fix="carry_labels(labels, augment(...))",
            )
    if ORIGIN not in augmented.columns or ROW_ID not in augmented.columns:
        raise LabelError(f"expected a table that augment returned, with a column {ORIGIN!r}")
    return (
        augmented.select(ROW_ID, ORIGIN)
        .join(labels, left_on=ORIGIN, right_on=ROW_ID, how="inner", maintain_order="left")
        .select(labels.columns)
    )


def _with_wide_ids(frame: pl.DataFrame) -> pl.DataFrame:
    """Return the frame with integer ids as int64, so that ids of copies fit in."""
    integer = frame.schema[ROW_ID].is_integer()
    return frame.cast({ROW_ID: pl.Int64}) if integer else frame


def _plan(
    frame: pl.DataFrame, functions: int, policy: Policy, n_per_original: int, seed: int
) -> tuple[pl.DataFrame, NDArray[np.int64]]:
    """Return untransformed copies, row after row, and their function numbers [copies, length]."""
    copies, length = policy.copies(functions, n_per_original), policy.length(functions)
    chances = uniform(row_words(frame[ROW_ID], seed), copies * length)
    shaped = chances.reshape(frame.height, copies, length)
    planned = frame[np.repeat(np.arange(frame.height), copies)].with_columns(
        copy_ids(frame[ROW_ID], copies),
        pl.col(ROW_ID).alias(ORIGIN),
        pl.lit([], dtype=pl.List(pl.String)).alias(APPLIED),
        pl.int_range(pl.len(), dtype=pl.Int64).alias(_PLACE),
    )
    return planned, policy.sequences(functions, shaped).reshape(-1, length)


def _transform(
    copies: pl.DataFrame,
    sequences: NDArray[np.int64],
    functions: Sequence[TransformationFunction],
    seed: int,
) -> pl.DataFrame:
    """Apply step after step, in each step every function to all the copies that it is due to."""
    with task("augment", sequences.size, "transformations") as work:
        for step in range(sequences.shape[1]):
            parts = []
            for number, function in enumerate(functions):
                due = copies.filter(sequences[:, step] == number)
                if due.height:
                    parts.append(_apply(function, due, seed, step))
                work.advance(due.height)
            copies = pl.concat(parts).sort(_PLACE) if parts else copies
    return copies


def _apply(
    function: TransformationFunction, copies: pl.DataFrame, seed: int, step: int
) -> pl.DataFrame:
    """Return copies after one function; its name is noted on those that it changed."""
    frame, origins = copies.drop(_OURS), copies[ORIGIN].to_list()
    apply = batch_answers if function.kind == "batch" else row_answers
    changed, columns = apply(function, frame, origins, derive_seed(seed, function.name, step))
    name = pl.lit([function.name], dtype=pl.List(pl.String))
    noted = pl.when(pl.Series(changed)).then(pl.col(APPLIED).list.concat(name)).otherwise(APPLIED)
    return copies.with_columns(*columns, noted)


def _beside(frame: pl.DataFrame, made: pl.DataFrame) -> pl.DataFrame:
    """Return every row, each followed by its copies."""
    places = frame.select(pl.col(ROW_ID).alias(ORIGIN)).with_row_index("__original")
    originals = frame.with_columns(
        pl.col(ROW_ID).alias(ORIGIN),
        pl.lit([], dtype=pl.List(pl.String)).alias(APPLIED),
        pl.lit(-1, dtype=pl.Int64).alias(_PLACE),
    )
    together = pl.concat([originals, made.select(originals.columns)])
    ordered = together.join(places, on=ORIGIN, maintain_order="left").sort("__original", _PLACE)
    return ordered.drop(_PLACE, "__original")


def _check(
    functions: Sequence[TransformationFunction], frame: pl.DataFrame, n_per_original: int
) -> None:
    names = [function.name for function in functions]
    if not names:
        raise LabelError("expected one or more transformation functions, found none")
    if len(set(names)) < len(names):
        twin = next(name for name in names if names.count(name) > 1)
        raise LabelError(f"two transformation functions are named {twin!r}")
    if n_per_original < 1:
        raise LabelError(f"n_per_original must be at least 1, found {n_per_original}")
    taken = [name for name in (ORIGIN, APPLIED) if name in frame.columns]
    if taken:
        raise LabelError(
            f"the table has a column {taken[0]!r} already",
            fix="augment the originals once, with a longer sequence or more copies",
        )
