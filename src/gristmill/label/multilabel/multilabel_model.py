"""One label model per label, on shared rows."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import polars as pl
from numpy.typing import NDArray

from gristmill.core.errors import LabelError
from gristmill.core.progress import track
from gristmill.data.table import ROW_ID
from gristmill.label.codes import check_classes, describe_classes
from gristmill.label.explain import Explanation
from gristmill.label.labels import Labels
from gristmill.label.models.label_model import LabelModel
from gristmill.label.multilabel.multilabel_votes import NO, STATES, YES, MultiLabelVotes
from gristmill.label.votes import Votes

MultiLabelGold = Mapping[Any, Collection[str]]
"""Row id -> all labels that the row has; those left out it has not."""


@dataclass(frozen=True, eq=False)
class MultiLabels:
    """Labels of n rows out of l.

    Attributes:
        labels: the l names.
        row_ids: Polars series of n ids.
        probs: float64[n, l], P(the row has the label). Where nobody voted on a row's label, how
            common the label is on the rows where somebody did, counted over all rows.
        by_label: label -> its labels with classes "no" and "yes", for those that any source
            voted on.
    """

    labels: tuple[str, ...]
    row_ids: pl.Series
    probs: NDArray[np.float64]
    by_label: Mapping[str, Labels]

    def __len__(self) -> int:
        return len(self.row_ids)

    def __repr__(self) -> str:
        return f"MultiLabels({len(self)} rows, {len(self.labels)} labels)"

    @property
    def table(self) -> pl.DataFrame:
        """One row each: `row_id`; `labels`, the names believed; `probs`, l floats."""
        believed = np.zeros(self.probs.shape, bool)
        for label, mine in self.by_label.items():
            believed[:, self.labels.index(label)] = mine.table["label"].to_numpy() == YES
        names = [[self.labels[code] for code in np.flatnonzero(row)] for row in believed]
        return pl.DataFrame(
            {
                ROW_ID: self.row_ids,
                "labels": pl.Series(names, dtype=pl.List(pl.String)),
                "probs": pl.Series(self.probs.tolist(), dtype=pl.List(pl.Float64)),
            }
        )

    def explain(self, row_id: int | str, label: str) -> Explanation:
        """Say why a row has a label or has not: each source's vote and what it added.

        Raises:
            LabelError: no such row or label, or no source voted on the label on any row.
        """
        if label not in self.labels:
            raise LabelError(f"no label {label!r}; there are {describe_classes(self.labels)}")
        if label not in self.by_label:
            raise LabelError(f"no source voted on label {label!r} on any row")
        return self.by_label[label].explain(row_id)


class MultiLabelModel:
    """A label model for each label, fitted on the votes for and against it.

    The labels are taken as independent given the row. A label that no source votes on is believed
    of no row.

    Args:
        labels: names, two or more.
        options: of every `LabelModel`.

    Raises:
        LabelError: fewer than two labels, or two of one name.
    """

    def __init__(self, labels: Sequence[str], **options: Any) -> None:
        self.labels = check_classes(labels)
        self.options = options
        self.models: dict[str, LabelModel] = {}

    def __repr__(self) -> str:
        return f"MultiLabelModel({len(self.labels)} labels, {len(self.models)} fitted)"

    def fit(self, votes: MultiLabelVotes, gold: MultiLabelGold | None = None) -> Self:
        """Learn, for each label, how far each source is to be believed.

        Args:
            votes: on these labels.
            gold: row id -> all labels of that row.

        Raises:
            LabelError: the votes are on other labels, nobody voted, or gold does not fit.
        """
        self._check(votes)
        models = {}
        for label in track(self.labels, "label models", len(self.labels), "labels"):
            mine = _heard(votes[label])
            if mine is not None:
                model = LabelModel(STATES, **self.options)
                models[label] = model.fit(mine, _gold_of(label, gold, self.labels))
        if not models:
            raise LabelError(f"no source voted on any label of the {len(votes)} rows")
        self.models = models
        return self

    def predict(self, votes: MultiLabelVotes, gold: MultiLabelGold | None = None) -> MultiLabels:
        """Return labels; rows with gold keep it.

        Raises:
            LabelError: the model is not fitted, or the votes are on other labels or sources.
        """
        self._check(votes)
        if not self.models:
            raise LabelError("this multi-label model is not fitted", fix="call fit(votes) first")
        by_label = {
            label: model.predict(
                _only(votes[label], model.fitted.names), _gold_of(label, gold, self.labels)
            )
            for label, model in self.models.items()
        }
        probs = np.zeros((len(votes), len(self.labels)))
        for label, mine in by_label.items():
            probs[:, self.labels.index(label)] = _probs(mine)
        return MultiLabels(self.labels, votes.row_ids, probs, by_label)

    def _check(self, votes: MultiLabelVotes) -> None:
        if not isinstance(votes, MultiLabelVotes):
            raise LabelError(
                f"expected multi-label votes, found {type(votes).__name__}",
                fix="make them with apply_multilabel(...) or MultiLabelVotes.of(...)",
            )
        if votes.labels != self.labels:
            raise LabelError(
                f"the model is for labels {describe_classes(self.labels)}; "
                f"these votes are on {describe_classes(votes.labels)}"
            )


def _heard(votes: Votes) -> Votes | None:
    """Return the votes of the sources that say anything; None if none does."""
    speaking = np.flatnonzero((votes.matrix >= NO).any(axis=0)).tolist()
    names = [votes.names[source] for source in speaking]
    return _only(votes, names) if names else None


def _only(votes: Votes, names: Sequence[str]) -> Votes:
    columns = [votes.source(name) for name in names]
    marks = tuple(votes.fingerprints[column] for column in columns)
    return Votes(
        votes.matrix[:, columns], votes.row_ids, tuple(names), marks, votes.classes, votes.silent
    )


def _probs(labels: Labels) -> NDArray[np.float64]:
    """Return P(yes) of each row, float64[n]; on rows without a vote, the rate over all rows."""
    probs = labels.table["probs"].to_numpy()[:, YES].copy()
    known = (labels.table["source"] != "none").to_numpy()
    probs[~known] = probs[known].sum() / max(len(probs), 1)
    return np.asarray(probs)


def _gold_of(
    label: str, gold: MultiLabelGold | None, labels: Sequence[str]
) -> dict[Any, str] | None:
    if gold is None:
        return None
    for row_id, names in gold.items():
        if isinstance(names, str) or not set(names) <= set(labels):
            raise LabelError(
                f"expected a list of labels as gold, found {names!r}", where=f"row {row_id!r}"
            )
    return {row_id: STATES[label in names] for row_id, names in gold.items()}
