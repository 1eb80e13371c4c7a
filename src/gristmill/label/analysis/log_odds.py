"""Which traits are over-represented in one set of rows against another."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_PRIOR_ROWS = 100.0


def over_represented(
    inside: NDArray[np.integer], outside: NDArray[np.integer], rows: int, others: int
) -> NDArray[np.float64]:
    """Return the z-score of the log-odds ratio of each trait, float64[t].

    The log-odds ratio with an informative Dirichlet prior (Monroe, Colaresi, Quinn, "Fightin'
    Words", Political Analysis 2008, sections 3.3.2 and 3.4): the prior is the trait's share of all
    rows, worth 100 rows, which keeps rare traits from winning by chance. Counts are of rows, not
    of tokens, since rows are what a labelling function votes on.

    Args:
        inside: int[t], rows of the first set that have the trait.
        outside: int[t], of the second.
        rows: of the first set.
        others: of the second.
    """
    prior = _PRIOR_ROWS * (inside + outside + 0.5) / (rows + others + 1.0)
    here, there = inside + prior, outside + prior
    ratio = np.log(here / (rows + _PRIOR_ROWS - here)) - np.log(
        there / (others + _PRIOR_ROWS - there)
    )
    return np.asarray(ratio / np.sqrt(1 / here + 1 / there))
