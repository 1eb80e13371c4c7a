"""Whether numbers are finite: what is asked of every tensor that comes or goes."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from gristmill.serve.runners.rows import Ragged

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from gristmill.serve.runners.rows import Column, Rows

_FEW = 64


def all_finite(values: NDArray[Any]) -> bool:
    """Say whether no element is infinite or no number; integers always are finite."""
    if values.dtype.kind != "f":
        return True
    # Nan and infinity survive a sum, and a sum of squares; only one that overflows sends us to the
    # elements. A few numbers are added soonest in Python. Squares are added by BLAS, without a
    # warning where they overflow and without an array of answers: 8 us for a picture of 600 kB
    # instead of 12, and 20 less in a server, whose allocator the array would upset. Of float64
    # it would ask its threads, which a server's other cores have no time for.
    if values.size <= _FEW and math.isfinite(sum(values.ravel().tolist())):
        return True
    if values.dtype.char == "f" and math.isfinite(np.vdot(values, values)):
        return True
    return bool(np.isfinite(values).all())


def is_finite(column: Column) -> bool:
    """Say whether no number of a column is infinite or no number; lists are not looked into."""
    values = column.values if isinstance(column, Ragged) else column
    return not isinstance(values, np.ndarray) or all_finite(values)


def are_finite(rows: Rows) -> bool:
    """Say the same of all columns."""
    return all(is_finite(column) for column in rows.columns.values())
