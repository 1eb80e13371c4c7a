"""Comparing a stream's outputs with those of the network in full."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor


class Audit(NamedTuple):
    """What one audit found.

    Attributes:
        picture: number of the picture, of the stream's, from 0.
        error: relative L2 error of the outputs (`relative_error`).
        agreed: whether the largest class was the same; None where no output is a vector.
        scale: of the thresholds that led to the error, in spreads of each unit.
    """

    picture: int
    error: float
    agreed: bool | None
    scale: float


def relative_error(found: Sequence[Tensor], full: Sequence[Tensor]) -> float:
    """Measure ||found - full|| / ||full|| of each output, and return the largest.

    The norm is the root of the sum of squares over all numbers of an output. Numbers that aren't
    finite count as the nearest that are; nothing as 0 of nothing.

    Args:
        found: the outputs.
        full: those of the network in full, in the same order.
    """
    return max(map(_relative_error, found, full), default=0.0)


def agreement(found: Sequence[Tensor], full: Sequence[Tensor]) -> bool | None:
    """Return whether the largest number of every vector is in the same place.

    Outputs that are maps, or vectors of one number, are passed over; None if all are.
    """
    vectors = [
        (one, other)
        for one, other in zip(found, full, strict=True)
        if other.dim() == 2 and other.shape[1] > 1
    ]
    if not vectors:
        return None
    return all(int(one.argmax()) == int(other.argmax()) for one, other in vectors)


def _relative_error(found: Tensor, full: Tensor) -> float:
    exact = torch.nan_to_num(full).double()
    difference = (torch.nan_to_num(found).double() - exact).norm().item()
    if difference == 0.0:
        return 0.0
    size = exact.norm().item()
    return difference / size if size else math.inf
