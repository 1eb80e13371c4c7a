"""How many rows make a part: few enough to fit in memory, and to lose little when one is lost."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from gristmill.store.signature import Field

_SHARE = 16
"""Parts that are in memory at once, each several times over: read, as rows, as answers."""
_MOST_ROWS = 1 << 16
_LEAST_ROWS = 256
_OPERATIONS = 1e12
"""Of one part: seconds to a minute of one core."""
_BYTES_PER_ELEMENT = 4
_FILES = (pl.String, pl.Binary)


def part_rows(
    sample: pl.DataFrame, memory: int, weight_bytes: int, fields: Sequence[Field] = ()
) -> int:
    """Choose the rows of a part from the first rows and the size of the model.

    The same for the same data, model and memory, so that a run that goes on finds its parts again.
    A row is taken to cost two operations for each weight and each four bytes: texts have about so
    many tokens, and in what is not text the number of rows in memory counts first.

    Args:
        sample: the first rows, of the columns that are read.
        memory: bytes for rows under way.
        weight_bytes: of the model.
        fields: of its signature: an image takes its pixels, which its path or its file says
            nothing of.
    """
    pixels = sum(
        field.elements
        for field in fields
        if field.kind == "image" and sample.schema.get(field.name) in _FILES
    )
    row_bytes = max(sample.estimated_size() / max(sample.height, 1), 1.0) + pixels
    fitting = memory / _SHARE / row_bytes
    operations = 2 * (weight_bytes / _BYTES_PER_ELEMENT) * (row_bytes / _BYTES_PER_ELEMENT)
    quick = max(_OPERATIONS / max(operations, 1.0), _LEAST_ROWS)
    return max(1, int(min(fitting, quick, _MOST_ROWS)))
