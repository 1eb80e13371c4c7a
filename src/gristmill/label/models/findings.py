"""What there is to say of a fit of the label model."""

from __future__ import annotations

import msgspec
import numpy as np
import polars as pl
from numpy.typing import NDArray

from gristmill.core.intervals import wilson
from gristmill.label.models.duplicates import Group
from gristmill.label.models.gold_update import GoldVotes
from gristmill.label.models.patterns import Patterns


class SourceFindings(msgspec.Struct, frozen=True, kw_only=True):
    """What was found of a source.

    Attributes:
        share: how much it counts; 1, less for one of several copies.
        accuracy: the model's estimate of P(right | voted), None if it never voted.
        gold_votes: gold rows that it voted on.
        gold_right: how many of those it was right on.
    """

    share: float
    accuracy: float | None
    gold_votes: int
    gold_right: int


class Findings(msgspec.Struct, frozen=True, kw_only=True):
    """What was found.

    Attributes:
        readings: of the votes, each with the verdict on it.
        rounds: of all fits that were kept.
        converged: whether these came to rest.
        exact: whether all rows were fitted on, not a sample.
        balance: k probabilities, P(class) as the readings and gold have it.
        gold: how gold and agreement were weighed.
        chosen_because: why.
        copies: groups of sources that are copies of one another, by position.
        sources: what was found of each.
    """

    readings: tuple[str, ...]
    rounds: int
    converged: bool
    exact: bool
    balance: tuple[float, ...]
    gold: str
    chosen_because: str
    copies: tuple[Group, ...]
    sources: tuple[SourceFindings, ...]

    def frame(self, names: tuple[str, ...]) -> pl.DataFrame:
        """Return a row per source; see `LabelModel.sources`."""
        twins: dict[int, list[str]] = {
            member: [names[other] for other in group if other != member]
            for group in self.copies
            for member in group
        }
        intervals = [
            wilson(each.gold_right, each.gold_votes) if each.gold_votes else None
            for each in self.sources
        ]
        return pl.DataFrame(
            {
                "source": names,
                "share": [each.share for each in self.sources],
                "copy_of": [twins.get(index, []) for index in range(len(names))],
                "accuracy": [each.accuracy for each in self.sources],
                "gold_votes": [each.gold_votes for each in self.sources],
                "gold_right": [each.gold_right for each in self.sources],
                "gold_accuracy": [each and each.value for each in intervals],
                "low": [each and each.low for each in intervals],
                "high": [each and each.high for each in intervals],
            },
            schema_overrides={
                "copy_of": pl.List(pl.String),
                **dict.fromkeys(("accuracy", "gold_accuracy", "low", "high"), pl.Float64),
            },
        )


def measure(
    patterns: Patterns,
    rows: NDArray[np.float64],
    posterior: NDArray[np.float64],
    share: NDArray[np.float64],
    gold: GoldVotes,
) -> tuple[SourceFindings, ...]:
    """Measure each source by what the model believes, and by gold.

    Args:
        patterns: of votes.
        rows: float64[p], rows of each pattern.
        posterior: float64[p, k], P(class | votes).
        share: float64[m].
        gold: the gold rows; they count once each, whatever their weights.
    """
    votes = patterns.tally(posterior * rows[:, None])[:, :-1]
    right, said = np.einsum("jyy->j", votes), votes.sum(axis=(1, 2))
    told = (gold.votes >= 0).sum(axis=0)
    agreed = (gold.votes == gold.codes[:, None]).sum(axis=0)
    return tuple(
        SourceFindings(
            share=float(share[source]),
            accuracy=float(right[source] / said[source]) if said[source] > 0 else None,
            gold_votes=int(told[source]),
            gold_right=int(agreed[source]),
        )
        for source in range(len(share))
    )
