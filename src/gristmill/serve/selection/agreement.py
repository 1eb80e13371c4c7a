"""How often models err, told by how often they disagree: nobody has to know the truth.

Two models that err independently, at rates e and f, disagree at the rate d = e + f - 2 e f where
there are two classes. That is a product, 1 - 2 d = (1 - 2 e)(1 - 2 f), and three models or more
give as many such equations as unknown rates, or more. (The one-coin model of Dawid and Skene 1979,
solved by its second moments: Joglekar, Garcia-Molina and Parameswaran 2013; Platanios, Blum and
Mitchell 2014.) With more classes, the rates come out a little too high, in the same order. Where
models err together, theirs come out too low by what they share. Both are for feedback to correct:
on rows whose truth is known, the equations show what they leave over pair by pair, and that is
taken off where it is not.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from gristmill.serve.selection.losses import Loss, Said

ENOUGH = 3
"""Arms without which disagreement does not say who errs."""

_BEGINNING = 0.5
_DOUBT = 20.0
"""Rows of known truth that it takes until they are believed as much as independence."""
_MOST_ROUNDS = 100
_STILL = 1e-4
_TINY = 1e-9


class Known(NamedTuple):
    """Sums over rows whose truth is known.

    Attributes:
        weight, apart: per pair: on how many rows both answered, on how many they disagreed.
        told, lost: per arm: how many rows it answered, on how many it erred.
    """

    weight: Sequence[float]
    apart: Sequence[float]
    told: Sequence[float]
    lost: Sequence[float]


class _Heard(NamedTuple):
    """How an arm and another one answered the same rows: how many, and 1 - 2 d."""

    arm: int
    rows: float
    product: float


def pairs(arms: int) -> list[tuple[int, int]]:
    """Return all pairs of different arms, in the order in which their disagreements are kept."""
    return [(one, other) for one in range(arms) for other in range(one + 1, arms)]


def disagreements(
    answers: Sequence[Said | None], loss: Loss, arm: int | None = None
) -> tuple[float | None, ...]:
    """Return how far the answers to one row are apart, in [0, 1], pair by pair.

    Args:
        answers: of each arm; None of one that gave none.
        loss: of one answer, were the other one true.
        arm: gives None for the pairs without this one, too.
    """
    return tuple(
        _apart(answers[one], answers[other], loss) if arm is None or arm in (one, other) else None
        for one, other in pairs(len(answers))
    )


def error_rates(
    weight: Sequence[float], apart: Sequence[float], arms: int, known: Known | None = None
) -> tuple[float, ...]:
    """Return the rate in [0, 1] at which each arm errs.

    Args:
        weight: float per pair: how many rows both answered; need not be whole.
        apart: float per pair: on how many of them they disagreed.
        arms: at least 3.
        known: other rows, by which this is put right.

    Minimises the squares of what the equations leave over, weighted by rows, arm by arm in turn;
    beginning with arms that are all better than chance, or with what is known of them, which is
    what tells the solution from its mirror image.
    """
    better, excess = [_BEGINNING] * arms, [0.0] * len(weight)
    if known is not None:
        then = [_better(lost, told) for lost, told in zip(known.lost, known.told, strict=True)]
        for arm, told in enumerate(known.told):
            better[arm] += _belief(told) * (then[arm] - _BEGINNING)
        for place, (one, other) in enumerate(pairs(arms)):
            rows = known.weight[place]
            over = _better(known.apart[place], rows) - then[one] * then[other]
            excess[place] = _belief(min(rows, known.told[one], known.told[other])) * over
    heard = _by_arm(weight, apart, arms, excess)
    for _ in range(_MOST_ROUNDS):
        moved = 0.0
        for arm, others in enumerate(heard):
            step = _best(better, others)
            moved = max(moved, abs(step - better[arm]))
            better[arm] = step
        if moved < _STILL:
            break
    return tuple(0.5 - 0.5 * each for each in better)


def rows_heard(weight: Sequence[float], arms: int) -> tuple[float, ...]:
    """Return how many rows each arm answered beside another one: the most of its pairs."""
    most = [0.0] * arms
    for place, (one, other) in enumerate(pairs(arms)):
        most[one] = max(most[one], weight[place])
        most[other] = max(most[other], weight[place])
    return tuple(most)


def _by_arm(
    weight: Sequence[float], apart: Sequence[float], arms: int, excess: Sequence[float]
) -> list[list[_Heard]]:
    """Return, for each arm, whom it was heard beside, on how many rows, and the product told.

    Args:
        excess: per pair: what 1 - 2 d has over the product of two that err independently.
    """
    found: list[list[_Heard]] = [[] for _ in range(arms)]
    for place, (one, other) in enumerate(pairs(arms)):
        rows = weight[place]
        if rows > _TINY:
            product = _better(apart[place], rows) - excess[place]
            found[one].append(_Heard(other, rows, product))
            found[other].append(_Heard(one, rows, product))
    return found


def _better(lost: float, rows: float) -> float:
    """Return 1 - 2 r in [-1, 1], where r is the rate of losses; 0 without rows."""
    return 1.0 - 2.0 * min(1.0, max(0.0, lost / rows)) if rows > _TINY else 0.0


def _belief(rows: float) -> float:
    """Return how far what is known on so many rows is believed, in [0, 1)."""
    return max(0.0, rows) / (max(0.0, rows) + _DOUBT)


def _best(better: Sequence[float], others: Sequence[_Heard]) -> float:
    """Return the c in [-1, 1] of one arm whose products with those of others fit best."""
    over = sum(each.rows * each.product * better[each.arm] for each in others)
    under = sum(each.rows * better[each.arm] ** 2 for each in others)
    return min(1.0, max(-1.0, over / under)) if under > _TINY else 0.0


def _apart(one: Said | None, other: Said | None, loss: Loss) -> float | None:
    if one is None or other is None:
        return None
    found = loss(one, other)
    return min(1.0, max(0.0, found)) if math.isfinite(found) else 1.0
