"""The spans that a model found, and what explains them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from gristmill.label.spans.bio import bounds, decode, tag_names
from gristmill.label.spans.span_votes import SpanVotes, span_table

if TYPE_CHECKING:
    import polars as pl


@dataclass(frozen=True, eq=False)
class SpanLabels:
    """Spans of d documents.

    Attributes:
        tags: int64[t], BIO codes, valid by construction.
        probs: float64[t, 2 k + 1], P(tag) of each token.
        votes: what the sources said.
        method: what made them.
    """

    tags: NDArray[np.int64]
    probs: NDArray[np.float64]
    votes: SpanVotes
    method: str

    def __len__(self) -> int:
        return len(self.votes)

    def __repr__(self) -> str:
        return f"SpanLabels({len(self)} documents, {self.table.height} spans, {self.method})"

    @property
    def table(self) -> pl.DataFrame:
        """One span a row: `row_id`, `start`, `end` (tokens), `class`, `prob`.

        `prob` is the mean over the span's tokens of the probability of their tag.
        """
        import polars as pl

        found = span_table(self.tags, self.votes.offsets, self.votes.row_ids, self.votes.classes)
        sure = np.concatenate([[0.0], np.cumsum(self._sureness())])
        spans = bounds(self.tags, self.votes.offsets)
        start, end = spans[:, 0], spans[:, 1]
        probs = (sure[end] - sure[start]) / np.maximum(end - start, 1)
        return found.drop("code").with_columns(pl.Series("prob", probs))

    def bio(self, row_id: int | str) -> list[str]:
        """Return the tags of a document as text.

        Raises:
            LabelError: no such document.
        """
        names = tag_names(self.votes.classes)
        return [names[tag] for tag in self.tags[self.votes.tokens_of(row_id)].tolist()]

    def explain(self, row_id: int | str) -> pl.DataFrame:
        """Return what was said of a document's spans and the spans that were not taken.

        Columns: `start`, `end`, `class`, `taken`, `prob` (mean probability of the span's tags),
        `sources` (names of those that said just this span).

        Raises:
            LabelError: no such document.
        """
        import polars as pl

        here = self.votes.tokens_of(row_id)
        said: dict[tuple[int, int, int], list[str]] = {}
        for index, name in enumerate(self.votes.names):
            for span in decode(self.votes.tags[here, index]):
                said.setdefault(span, []).append(name)
        taken = set(decode(self.tags[here]))
        rows = [
            (span[0], span[1], self.votes.classes[span[2]], span in taken,
             self._prob(span, here.start), said.get(span, []))
            for span in sorted(taken | said.keys())
        ]  # fmt: skip
        schema: dict[str, type[pl.DataType] | pl.DataType] = {
            "start": pl.Int64, "end": pl.Int64, "class": pl.String, "taken": pl.Boolean,
            "prob": pl.Float64, "sources": pl.List(pl.String),
        }  # fmt: skip
        return pl.DataFrame(rows, schema=schema, orient="row")

    def _sureness(self) -> NDArray[np.float64]:
        return np.take_along_axis(self.probs, self.tags[:, None], axis=1).ravel()

    def _prob(self, span: Sequence[int], begin: int) -> float:
        start, end, label = span
        tags = np.full(end - start, 2 + 2 * label)
        tags[0] = 1 + 2 * label
        return float(self.probs[np.arange(begin + start, begin + end), tags].mean())
