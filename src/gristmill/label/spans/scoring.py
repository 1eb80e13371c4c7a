"""Precision, recall and F1 of spans: a span counts if its bounds and its class are right."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from gristmill.core.errors import LabelError
from gristmill.label.spans.bio import bounds
from gristmill.label.spans.span_labels import SpanLabels


@dataclass(frozen=True, slots=True)
class SpanScores:
    """Micro-averaged figures; one whose denominator is zero is 0.

    Attributes:
        hits: spans that are in both.
        predicted, gold: spans in each.
    """

    hits: int
    predicted: int
    gold: int

    @property
    def precision(self) -> float:
        """Share of the predicted spans that are right."""
        return self.hits / self.predicted if self.predicted else 0.0

    @property
    def recall(self) -> float:
        """Share of the gold spans that were found."""
        return self.hits / self.gold if self.gold else 0.0

    @property
    def f1(self) -> float:
        """Harmonic mean of the two."""
        both = self.predicted + self.gold
        return 2 * self.hits / both if both else 0.0


def score_spans(labels: SpanLabels, gold: ArrayLike) -> dict[str, SpanScores]:
    """Score spans by exact match (the CoNLL-2003 scorer's rule).

    Args:
        labels: what a model found.
        gold: int[t], BIO codes of all tokens; see `SpanVotes.from_tags` for tags as text.

    Returns:
        "all" -> micro-averaged figures, and those of each class by its name.

    Raises:
        LabelError: the gold tags are not one per token.
    """
    truth = np.asarray(gold)
    if truth.shape != labels.tags.shape or truth.dtype.kind not in "iu":
        raise LabelError(f"expected {len(labels.tags)} gold tags, found {list(truth.shape)}")
    mine, theirs = (bounds(tags, labels.votes.offsets) for tags in (labels.tags, truth))
    both = sorted(set(map(tuple, mine.tolist())) & set(map(tuple, theirs.tolist())))
    hits = np.array(both, np.int64).reshape(-1, 3)
    scores = {"all": SpanScores(len(hits), len(mine), len(theirs))}
    for label, name in enumerate(labels.votes.classes):
        counts = [int((part[:, 2] == label).sum()) for part in (hits, mine, theirs)]
        scores[name] = SpanScores(*counts)
    return scores
