"""A row that a model can answer: one that its bundle keeps, or one made up from its fields."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from gristmill.serve.protocols.instances import sample_of
from gristmill.serve.protocols.tensors import dtype_of
from gristmill.serve.runners.checking import Checker
from gristmill.serve.runners.rows import Column, Ragged, Rows
from gristmill.store.bundle import OFFSETS

if TYPE_CHECKING:
    from gristmill.store.bundle import Bundle, Field

_FREE = 3


def sample_rows(bundle: Bundle) -> Rows:
    """Return one row of a bundle's inputs.

    Raises:
        BundleError: the example that the bundle keeps is damaged.
    """
    kept = bundle.example()
    fields = bundle.signature.inputs
    if kept and all(field.name in kept for field in fields):
        columns: dict[str, Column] = {
            field.name: Ragged(kept[field.name], kept[field.name + OFFSETS])
            if field.ragged
            else kept[field.name]
            for field in fields
        }
        return Rows(columns).take(0, 1)
    record = sample_of(fields)
    if all(value is not None for value in record.values()):
        return Checker(tuple(fields)).rows([record])
    return Rows({field.name: _column(field, record[field.name]) for field in fields})


def _column(field: Field, value: object) -> Column:
    if field.shape is None:
        return [value]
    shape = [_FREE if size is None else size for size in field.shape]
    number = max(0.0, field.min or 0.0)
    array = np.full((1, *shape), number, dtype_of(field))
    if not field.ragged:
        return array
    return Ragged(array[0], np.array([0, _FREE], np.int64))
