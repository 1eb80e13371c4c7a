"""What labels would be without one of the sources."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import polars as pl
from numpy.typing import NDArray

from gristmill.label.models.patterns import Patterns

Floats = NDArray[np.float64]


def influence(
    matrix: NDArray[np.integer],
    names: Sequence[str],
    classes: int,
    log_prior: Floats,
    table: Floats,
) -> pl.DataFrame:
    """Say for each source what would change without it, the others counting as they do.

    Args:
        matrix: int[n, m], in the order of the table.
        names: of the m sources.
        classes: k.
        log_prior: float64[k].
        table: float64[m, k + 1, k], what each answer adds.

    Returns:
        `source`, `votes` (rows it voted on), `changed` (labels that would be another), `lost` (rows
        that would have no vote left), `shift` (mean change of the label's probability over the
        rows that it voted on; null where it never voted).
    """
    patterns = Patterns.of(matrix, classes)
    rows = patterns.count()
    covered = (patterns.votes >= 0).sum(axis=1)
    scores = patterns.add_up(table) + log_prior
    best, sure = scores.argmax(axis=1), _probabilities(scores)
    place = np.arange(len(patterns))
    found = []
    for source, name in enumerate(names):
        answers = patterns.votes[:, source]
        without = scores - table[source, answers]  # -1 is the last answer: abstain
        voted = answers >= 0
        lost = voted & (covered == 1)
        changed = (without.argmax(axis=1) != best) & (covered > 0) & ~lost
        moved = np.abs(_probabilities(without) - sure)[place, best]
        said = float(rows[voted].sum())
        shift = float(rows[voted] @ moved[voted]) / said if said else None
        found.append((name, int(said), int(rows[changed].sum()), int(rows[lost].sum()), shift))
    schema = {
        "source": pl.String, "votes": pl.Int64, "changed": pl.Int64, "lost": pl.Int64,
        "shift": pl.Float64,
    }  # fmt: skip
    return pl.DataFrame(found, schema=schema, orient="row")


def _probabilities(scores: Floats) -> Floats:
    powers = np.exp(scores - scores.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True))
