"""How far off the reference is."""

from __future__ import annotations

from typing import NamedTuple


class InputError(NamedTuple):
    """How far the reference is from the true frame: the error that ignoring noise makes.

    Attributes:
        largest: of all absolute differences, in grey levels of 0 to 255.
        mean: of all absolute differences.
    """

    largest: int
    mean: float
