"""What runs a graph over a batch: dense or packed, it takes arrays and gives arrays."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from gristmill.core.errors import DataError
from gristmill.serve.runners.rows import Ragged

Values: TypeAlias = NDArray[Any] | Ragged
"""One value a row: an array [n, ...], or rows of different lengths."""


class Body(Protocol):
    """Runs a graph over a batch of rows.

    Attributes:
        kind: how, in a word.
    """

    @property
    def kind(self) -> str:
        """Return what kind it is, in a word."""

    def __call__(self, inputs: Sequence[Values], rows: int) -> list[Values]:
        """Return each of the graph's outputs for `rows` rows of its inputs, in order.

        Raises:
            ServeError: the graph can't be computed.
        """


def lengths_of(inputs: Sequence[Values]) -> NDArray[np.int64] | None:
    """Return int64[n], the length of each row, or None where all inputs are of fixed shape.

    Raises:
        DataError: a row is of one length in one input and of another in another, or of length 0.
    """
    found: NDArray[np.int64] | None = None
    for each in inputs:
        if isinstance(each, Ragged):
            lengths = each.lengths
            if found is not None and not np.array_equal(found, lengths):
                row = int(np.flatnonzero(found != lengths)[0])
                raise DataError(
                    f"expected one length in all columns, found {found[row]} and {lengths[row]}",
                    where=f"row {row}",
                )
            found = lengths
    if found is not None and len(found) and not found.min():
        raise DataError("expected one element at least", where=f"row {int(found.argmin())}")
    return found
