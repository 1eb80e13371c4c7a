"""The arithmetic of successive halving: budgets and sizes of rungs, ranks within one.

A bracket with s halvings has rungs 0..s. Rung k lies at budget most / eta^(s-k), and about one in
eta of the trials of a rung goes on to the next (Li et al. 2018, "Hyperband: a novel bandit-based
approach to hyperparameter optimization", algorithm 1; Jamieson & Talwalkar 2016, "Non-stochastic
best arm identification and hyperparameter optimization", section 3).

    eta 4, most 16, 16 trials:    rung 0       rung 1        rung 2
                          budget  1            4             16
                          trials  16           4             1        40 units of 256 are trained
"""

from __future__ import annotations

from collections.abc import Mapping

from gristmill.core.errors import UsageError


def check_rungs(least: int, most: int, eta: int) -> None:
    """Check the three numbers that rungs are made of.

    Raises:
        UsageError: not 1 <= least <= most, or eta below 2.
    """
    if not 1 <= least <= most:
        raise UsageError(f"expected 1 <= least <= most budget, found {least} and {most}")
    if eta < 2:
        raise UsageError(f"expected to keep one in 2 or more, found eta {eta}")


def whole_log(number: int, base: int) -> int:
    """Return the largest k with base^k <= number, for number >= 1; exact, unlike `math.log`."""
    power = 0
    while number >= base:
        number //= base
        power += 1
    return power


def most_halvings(least: int, most: int, eta: int) -> int:
    """Return how often a budget can be divided by eta before it falls below `least`."""
    return whole_log(most // least, eta)


def rung_budgets(halvings: int, most: int, eta: int) -> tuple[int, ...]:
    """Return the budgets of rungs 0..halvings, the last of them `most`."""
    return tuple(most // int(eta**left) for left in range(halvings, -1, -1))


def rung_sizes(trials: int, halvings: int, eta: int) -> tuple[int, ...]:
    """Return how many trials are to reach each rung; never none."""
    return tuple(max(1, trials // int(eta**done)) for done in range(halvings + 1))


def hyperband_bracket(halvings: int, deepest: int, eta: int) -> int:
    """Return how many trials the Hyperband bracket with that many halvings has.

    Every bracket then costs about the same (Li et al. 2018, algorithm 1, line 3).

    Args:
        halvings: of this bracket, `s` in the paper.
        deepest: of the bracket that has most, `s_max` in the paper.
        eta: one in so many goes on.
    """
    total = (deepest + 1) * int(eta**halvings)
    return -(-total // (halvings + 1))


def ranked(scores: Mapping[int, float]) -> list[int]:
    """Return trials by score, best first; of equals the one with the lower number first."""
    return sorted(scores, key=lambda trial: (-scores[trial], trial))
