"""What may be left out, and how coarsely the rest be computed, for results to stay within an error.

What is lost counts against what covering changes, not against the network's results: those
differ little from place to place, and within a per cent of them a heat map can be all wrong.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from gristmill.core.errors import UsageError
from gristmill.incremental.kernels.native.convolution import Bits
from gristmill.incremental.occlusion.base_values import BaseValues
from gristmill.incremental.occlusion.covering import Covering
from gristmill.incremental.occlusion.occluder import Occluder

SHARES = (0.25, 0.3, 0.35, 0.4, 0.5, 0.6, 0.7, 0.85, 1.0)
"""Shares of a map that are tried, least first; 1 leaves nothing out."""

_MOST, _LEAST = 8, 2


class Limit(NamedTuple):
    """What is computed less than exactly, and what it costs.

    Args:
        keep: the largest share of a map's rows or columns that is recomputed.
        bits: of the numbers that wide pointwise convolutions multiply of what changes.
        error: at the audited positions, as a share of what covering changes.
        audited: how many those are.
    """

    keep: float
    bits: Bits
    error: float
    audited: int


EXACT = Limit(1.0, 32, 0.0, 0)


def field_limit(
    occluder: Occluder,
    base: BaseValues,
    cover: Tensor,
    covering: Covering,
    error: float,
    first: float = SHARES[0],
) -> Limit:
    """Find what takes least with sampled positions within an error.

    Differences are rounded to as few bits as the machine gains by and are alone within the error,
    and as much is left out as then may be. Nothing but rounding counts of a network of wide
    pointwise convolutions (a MobileNet): small parts of a field are much of the effect there.

    What counts is ||y' - y|| / ||y - y0|| of each of the network's results: y' less than exact, y
    exact and y0 of the picture as it is, at up to eight positions spread over the
    covering, all of them taken together. Elsewhere it may be larger.

    Args:
        occluder: computes the results.
        base: the picture's values.
        cover: what takes its place where it is covered, like the frame.
        covering: the positions, exact.
        error: the largest that is accepted, above 0 and at most 1.
        first: the share to begin with: what was found for another picture, say.

    Raises:
        UsageError: the error is not above 0 and at most 1.
    """
    if not 0 < error <= 1:
        raise UsageError(
            f"expected an error above 0 and at most 1, found {error}",
            fix="0.01 is one per cent; leave it out for exact results",
        )
    count = len(covering.positions)
    audited = min(count, max(_LEAST, min(_MOST, count // 16)))
    chosen = [covering.positions[(2 * n + 1) * count // (2 * audited)] for n in range(audited)]
    sample = covering._replace(positions=tuple(sorted(set(chosen))))
    exact = _results(occluder, base, cover, sample)
    before = [each.flatten() for each in occluder.results(base)]

    def worst(keep: float, bits: Bits) -> float:
        tried = sample._replace(keep=keep, bits=bits)
        return max(map(_error, _results(occluder, base, cover, tried), exact, before))

    lost: dict[Bits, float] = {}
    for bits in occluder.kernels.bits:
        lost[bits] = worst(1.0, bits)
        if lost[bits] <= error:
            break
    else:
        bits, lost[32] = 32, 0.0
    for keep in (share for share in SHARES if first <= share < 1):
        found = worst(keep, bits)
        if found <= error:
            return Limit(keep, bits, found, len(sample.positions))
    return Limit(1.0, bits, lost[bits], len(sample.positions))


def _results(
    occluder: Occluder, base: BaseValues, cover: Tensor, covering: Covering
) -> list[Tensor]:
    """Of each output, [positions, elements]."""
    found: dict[int, list[Tensor]] = {}
    for numbers, outputs in occluder.answers(base, cover, covering):
        for row, number in enumerate(numbers):
            found[number] = [each[row].flatten() for each in outputs]
    return [torch.stack(list(each)) for each in zip(*map(found.get, sorted(found)), strict=True)]


def _error(found: Tensor, exact: Tensor, before: Tensor) -> float:
    """The error of [positions, elements] as a share of what changed; 0 where both are 0."""
    difference, change = float((found - exact).norm()), float((exact - before).norm())
    return difference / change if change else float(difference > 0)
