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
        (one, other) for one, other in zip(found, full, strict=True) if _has_a_largest(other)
    ]
    if not vectors:
        return None
    return all(int(one.argmax()) == int(other.argmax()) for one, other in vectors)


def decisive_error(found: Sequence[Tensor]) -> float:
    """Return the relative error by which the largest number of a vector may be another's place.

    An error of e, were it spread evenly over a vector of n numbers, moves two of them against each
    other by about e ||vector|| sqrt(2 / n). The error is that at which this is as much as the
    largest leads by; of several vectors the smallest, infinite where there is none.

    Args:
        found: the outputs.
    """
    return min(
        (_decisive_error(each.double()) for each in found if _has_a_largest(each)), default=math.inf
    )


def _has_a_largest(output: Tensor) -> bool:
    return output.dim() == 2 and output.shape[1] > 1


def _decisive_error(vector: Tensor) -> float:
    first, second = vector[0].topk(2).values.tolist()
    moved = vector.norm().item() * math.sqrt(2.0 / vector.shape[1])
    return (first - second) / moved if moved else math.inf


def _relative_error(found: Tensor, full: Tensor) -> float:
    exact = torch.nan_to_num(full).double()
    difference = (torch.nan_to_num(found).double() - exact).norm().item()
    if difference == 0.0:
        return 0.0
    size = exact.norm().item()
    return difference / size if size else math.inf
