"""What answers that differ tell of rows whose truth is awaited, put right by truth that has come.

The truth of a row tells who erred, and so how often each pair of arms would have disagreed if they
erred independently. How far they were from that (arms that err together agree more, and of many
classes two wrong ones seldom agree) is taken off pair by pair before rates are told from rows whose
truth is awaited; as in prediction-powered inference (Angelopoulos et al. 2023), and in it lies the
dependence of errors that disagreement alone cannot see. Where most arms err more often than not,
disagreement has a mirror image that fits as well: the rates that are known say which one it is.

Sums are kept in two parts, each of which fades at a pace of its own: of pairs on rows whose truth
is awaited, then of pairs on rows whose truth is known, followed by what the arms lost on these.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from gristmill.serve.selection.agreement import ENOUGH, Known, error_rates, rows_heard
from gristmill.serve.selection.policy import Outcome, PolicyState


class Increment(NamedTuple):
    """What is added to sums: how much more there is of each, and how much more was lost."""

    weight: tuple[float, ...]
    loss: tuple[float, ...]


class Heard(NamedTuple):
    """How often each arm is thought to err, and on how many rows that rests (awaited, fading)."""

    rows: tuple[float, ...]
    rates: tuple[float, ...]


def pairs_heard(arms: int, share: float) -> int:
    """Return how many pairs are heard to disagree; 0 where that says nothing.

    Args:
        share: of the predictions, at which all arms are asked.
    """
    return arms * (arms - 1) // 2 if share > 0.0 and arms >= ENOUGH else 0


def known(values: Sequence[float | None]) -> Increment:
    """Return 1 for each value that is known, and the values with 0 for one that is not."""
    return Increment(
        tuple(float(each is not None) for each in values), tuple(each or 0.0 for each in values)
    )


def told(outcome: Outcome, losses: Increment, pairs: int) -> tuple[Increment, Increment]:
    """Return what an outcome adds to both parts: the row is no longer awaited, but known.

    Args:
        losses: of the arms on the row.
        pairs: how many are heard.
    """
    if not pairs:
        return Increment((), ()), Increment((), ())
    # What another policy has logged may have no pairs: nothing was overheard then.
    weight, apart = known(outcome.apart or (None,) * pairs)
    nobody = (0.0,) * len(losses.weight)
    own = losses if any(weight) else Increment(nobody, nobody)
    return (
        Increment(tuple(-each for each in weight), tuple(-each for each in apart)),
        Increment(weight + own.weight, apart + own.loss),
    )


def heard(awaited: PolicyState, then: PolicyState, arms: int) -> Heard:
    """Return how often each arm errs on the rows whose truth is awaited.

    Args:
        awaited: of the pairs on these.
        then: of the pairs, then of the arms, on rows whose truth is known.
    """
    pairs = len(awaited.weight)
    truth = Known(then.weight[:pairs], then.loss[:pairs], then.weight[pairs:], then.loss[pairs:])
    rates = error_rates(awaited.weight, awaited.loss, arms, truth)
    return Heard(rows_heard(awaited.weight, arms), rates)
