"""A few rows that a bundle's model can answer: those kept with it, or made-up ids."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from gristmill.core.seeds import derive_seed
from gristmill.data.features import Columns, HashedNgrams
from gristmill.serve.runners.body import Values
from gristmill.serve.runners.reading import reader_of
from gristmill.serve.runners.rows import Column, Ragged, Rows
from gristmill.store.bundle import OFFSETS, Bundle
from gristmill.store.graph import Input

_LENGTHS = (5, 1, 9, 3, 5, 2, 17, 5)


def sample_inputs(bundle: Bundle, inputs: list[Input]) -> tuple[list[Values], int]:
    """Return what a graph is given for a few rows, and how many; none where none are known."""
    if bundle.has_featurizer:
        featurizer = bundle.featurizer()
        if isinstance(featurizer, Columns):
            return [], 0
        most = featurizer.buckets if isinstance(featurizer, HashedNgrams) else featurizer.size - 1
        return [_ids(most, featurizer.max_tokens)], len(_LENGTHS)
    rows = example_rows(bundle)
    return ([], 0) if rows is None else (reader_of(bundle, inputs)(rows), rows.count)


def example_rows(bundle: Bundle) -> Rows | None:
    """Return the rows that were kept with a bundle, None where none were."""
    kept = bundle.example()
    columns: dict[str, Column] = {}
    for field in bundle.signature.inputs:
        if field.name not in kept:
            return None
        values = kept[field.name]
        columns[field.name] = Ragged(values, kept[field.name + OFFSETS]) if field.ragged else values
    return Rows(columns)


def _ids(most: int, longest: int) -> Ragged:
    draw = np.random.default_rng(derive_seed(0, "sample ids"))
    rows: list[NDArray[np.int64]] = [
        draw.integers(1, most, min(length, longest), endpoint=True) for length in _LENGTHS
    ]
    return Ragged.of(rows)
