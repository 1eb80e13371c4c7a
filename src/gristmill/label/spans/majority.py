"""Majority vote on spans: every source counts the same on every token."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from gristmill.core.errors import LabelError
from gristmill.core.fingerprint import fingerprint
from gristmill.label.spans.bio import OUTSIDE, may_follow, tag_count
from gristmill.label.spans.lattice import Chain, Timeline, best_path
from gristmill.label.spans.span_labels import SpanLabels
from gristmill.label.spans.span_votes import SpanVotes, check_span_classes

_SILENCE = 0.5


class SpanMajority:
    """The tag with most votes, token by token, such that the tags make whole spans.

    O is what is left where nobody votes: sources name what they find, so that most say O nearly
    everywhere. Where the plain winners do not fit together (an inside without a beginning), or
    tie, the tags that gather most votes over the document are taken.

    Args:
        classes: class names of spans.
        quorum: how many sources must vote for a token to be in a span.

    Raises:
        LabelError: no classes, or a quorum below 1.
    """

    def __init__(self, classes: Sequence[str], *, quorum: int = 1) -> None:
        if quorum < 1:
            raise LabelError(f"expected a quorum of 1 or more, found {quorum}")
        self.classes = check_span_classes(classes)
        self.quorum = quorum

    def __fingerprint__(self) -> str:
        return fingerprint(["span majority", self.classes, self.quorum])

    def predict(self, votes: SpanVotes) -> SpanLabels:
        """Return the spans; a span's probability is the mean share of the votes on its tokens.

        Raises:
            LabelError: the votes have other classes.
        """
        if votes.classes != self.classes:
            raise LabelError(
                f"votes have classes {list(votes.classes)}, expected {list(self.classes)}"
            )
        counts = count_votes(votes.tags, len(self.classes))
        tags = majority_tags(counts, votes.offsets, self.quorum)
        said = counts.copy()
        said[:, OUTSIDE] = said[:, 1:].sum(axis=1) == 0
        probs = said / said.sum(axis=1, keepdims=True)
        return SpanLabels(tags, probs, votes, "span majority")


def count_votes(tags: NDArray[np.integer], classes: int) -> NDArray[np.float64]:
    """Return how many sources gave each token each tag but O: float64[t, 2 k + 1], O column 0."""
    states = tag_count(classes)
    counts = np.zeros(len(tags) * states)
    for source in range(tags.shape[1]):
        said = np.flatnonzero(tags[:, source] != OUTSIDE)
        counts[said * states + tags[said, source]] += 1
    return counts.reshape(-1, states)


def majority_tags(
    counts: NDArray[np.float64], offsets: NDArray[np.int64], quorum: int = 1
) -> NDArray[np.int64]:
    """Return the tags with most votes that make whole spans: int64[t]."""
    scores = counts.copy()
    scores[counts.sum(axis=1) < quorum] = 0.0
    scores[:, OUTSIDE] = _SILENCE
    allowed = may_follow((counts.shape[1] - 1) // 2).astype(float)
    return best_path(Timeline.of(offsets), Chain(allowed[OUTSIDE], allowed), scores)
