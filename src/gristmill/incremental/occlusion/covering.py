"""Squares of a frame that are covered, one at a time."""

from __future__ import annotations

from typing import NamedTuple

from gristmill.incremental.kernels.native.convolution import Bits


class Covering(NamedTuple):
    """Squares that are covered, one at a time.

    Args:
        height: of the frame, in pixels.
        width: of the frame, in pixels.
        patch: side of the squares, in pixels.
        positions: top and left of each; at least one, all inside the frame.
        keep: largest share of a map's rows or columns that is recomputed; see `footprints`.
        bits: of the numbers that wide pointwise convolutions multiply of what changes: floats,
            bfloat16, or integers.
    """

    height: int
    width: int
    patch: int
    positions: tuple[tuple[int, int], ...]
    keep: float = 1.0
    bits: Bits = 32
