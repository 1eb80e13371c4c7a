"""Copies among sources: those that agree more than the classes can explain.

Two good sources agree because both are right, two copies because one says what the other says. The
votes themselves tell which: if a source is a copy, its errors are the other's errors, and a model
in which it copies (with a little noise) gives the votes a higher likelihood than one in which it
judges each row for itself. The other sources matter in this: were eight copies of a poor source
taken for eight judges, the classes would follow the copies and leave all others unexplained.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from gristmill.label.models.pairwise import Pairs

SAME = 0.9
"""Sources that say the same on this share of the rows where either votes may be copies."""

_FEWEST_ROWS = 10

Group = tuple[int, ...]


def candidates(pairs: Pairs) -> list[Group]:
    """Return groups of sources that say the same on nine tenths of the rows where either votes.

    Groups are chains: a source belongs if it is like any member. Pairs that share fewer than ten
    rows are too few to tell.
    """
    return _chains((pairs.identity >= SAME) & (pairs.agree >= _FEWEST_ROWS))


def copies(
    groups: Sequence[Group],
    pairs: Pairs,
    votes: NDArray[np.integer],
    counts: NDArray[np.float64],
    classes: int,
    log_likelihood: Callable[[list[int]], float],
) -> list[Group]:
    """Return the groups of sources that are copies of one another.

    One candidate after the other is added to the sources that judge for themselves, either as one
    of them or as a copy of the one among them that it is most like, whichever has the better
    Bayesian information criterion (Schwarz 1978).

    Args:
        groups: candidates.
        pairs: agreement of all sources.
        votes: int[p, m], patterns of votes.
        counts: float64[p], rows of each pattern.
        classes: k.
        log_likelihood: of the votes of some sources, if these judge independently.
    """
    suspects = {source for group in groups for source in group}
    judges = [source for source in range(votes.shape[1]) if source not in suspects]
    price = 0.5 * classes * np.log(max(counts.sum(), 1.0))  # of k more parameters
    found: dict[int, list[int]] = {}
    for group in groups:
        first = max(group, key=lambda source: (pairs.both[source, source], -source))
        models, judges = [first], [*judges, first]
        before = log_likelihood(judges)
        for source in sorted(set(group) - {first}):
            model = max(models, key=lambda other, source=source: pairs.identity[source, other])  # type: ignore[misc]
            copying = copying_log_likelihood(votes[:, source], votes[:, model], counts, classes)
            judging = log_likelihood([*judges, source]) - before
            if copying - price > judging:
                found.setdefault(model, [model]).append(source)
            else:
                models, judges = [*models, source], [*judges, source]
                before += judging
    return sorted(tuple(sorted(group)) for group in found.values())


def copying_log_likelihood(
    copy: NDArray[np.integer],
    model: NDArray[np.integer],
    counts: NDArray[np.float64],
    classes: int,
) -> float:
    """Return the log-likelihood of a source's answers given another's, at their best fit.

    Args:
        copy: int[p], answers of the source that copies; -1 is an answer too.
        model: int[p], answers of the other.
        counts: float64[p].
        classes: k.
    """
    answers = classes + 1
    cells = (model.astype(np.int64) + 1) * answers + copy + 1
    table = np.bincount(cells, counts, answers * answers).reshape(answers, answers)
    given = table.sum(axis=1, keepdims=True)
    seen = table > 0
    return float((table[seen] * np.log((table / np.maximum(given, 1e-300))[seen])).sum())


def shares(sources: int, groups: Sequence[Group]) -> NDArray[np.float64]:
    """Return how much each source counts, float64[m]: 1, or 1 / size for members of a group."""
    share = np.ones(sources)
    for group in groups:
        share[list(group)] = 1 / len(group)
    return share


def _chains(alike: NDArray[np.bool_]) -> list[Group]:
    """Return the connected components of two or more."""
    left = set(range(len(alike)))
    found: list[Group] = []
    while left:
        group, waiting = set(), [min(left)]
        while waiting:
            source = waiting.pop()
            group.add(source)
            waiting += [int(other) for other in np.flatnonzero(alike[source]) if other not in group]
        left -= group
        if len(group) > 1:
            found.append(tuple(sorted(group)))
    return found
