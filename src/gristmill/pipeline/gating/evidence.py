"""The rows on which contenders are compared, and what is known of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from gristmill.core.errors import DataError
from gristmill.core.paired import CLASS_METRICS, NUMBER_METRICS, figure_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from gristmill.pipeline.gating.contender import Contender


@dataclass(frozen=True)
class Evidence:
    """The truth, row by row, and slices of the rows.

    Attributes:
        truth: int[n], true classes; float[n] for `mae` and `mse`.
        slices: name -> bool[n], the rows that belong to it.
        positive: the class that the metric is about.
        data: a fingerprint or a name of the rows, for the record.

    Raises:
        DataError: a slice has another length than the truth, or there are no rows.
    """

    truth: NDArray[Any]
    slices: Mapping[str, NDArray[Any]] = field(default_factory=dict)
    positive: int = 1
    data: str = ""

    def __post_init__(self) -> None:
        if self.truth.ndim != 1 or len(self.truth) == 0:
            raise DataError(f"expected a column of rows, found the shape {self.truth.shape}")
        for name, rows in self.slices.items():
            if rows.shape != self.truth.shape or rows.dtype != bool:
                raise DataError(
                    f"expected bool[{len(self.truth)}], found {rows.dtype}{list(rows.shape)}",
                    where=f"slice {name!r}",
                )

    @property
    def rows(self) -> int:
        """How many there are."""
        return len(self.truth)

    def within(self, name: str) -> Evidence:
        """Return the rows of a slice, which has some."""
        return Evidence(self.truth[self.slices[name]], positive=self.positive)

    def answers(self, contender: Contender) -> NDArray[Any]:
        """Return what a contender that can be run says of these rows, [rows].

        Raises:
            DataError: it says nothing, or has answers to other rows.
        """
        found = contender.answers
        if found is None or found.shape != self.truth.shape:
            shown = "none" if found is None else f"the shape {list(found.shape)}"
            raise DataError(
                f"expected an answer to each of {self.rows} rows, found {shown}",
                where=contender.name,
                fix="compare on the same rows, each answered by both",
            )
        return found

    def figure(self, metric: str, contender: Contender) -> float:
        """Return a contender's figure on all rows."""
        return figure_of(metric, self.truth, self.answers(contender), self.positive)

    def missing_class(self, metric: str) -> str:
        """Say which class has no rows though the metric is about it; empty where it has some."""
        if metric in NUMBER_METRICS or metric == "accuracy":
            return ""
        there = int((self.truth == self.positive).sum())
        if not there:
            return f"none of {self.rows:,} rows is of class {self.positive}"
        if metric == "auc" and there == self.rows:
            return f"all {self.rows:,} rows are of class {self.positive}"
        return ""

    def base_rate(self, metric: str) -> str:
        """Say what shares the classes have, and what always answering the same would reach."""
        if metric in NUMBER_METRICS:
            always = self.always(metric)
            figure = figure_of(metric, self.truth, always)
            return f"base rate: always {always[0]:.4g} gives {metric} {figure:.4g}"
        share = float((self.truth == self.positive).mean())
        common = self.always("accuracy")
        right = float((common == self.truth).mean())
        return (
            f"base rate: class {self.positive} is {share:.1%} of {self.rows:,} rows; "
            f"always answering class {common[0]} is right in {right:.1%}"
        )

    def always(self, metric: str) -> NDArray[Any]:
        """Return the best answers, [rows], of a model that always gives the same."""
        import numpy as np

        if metric in NUMBER_METRICS:
            return np.full(self.rows, (np.mean if metric == "mse" else np.median)(self.truth))
        if metric == "accuracy":
            values, counts = np.unique(self.truth, return_counts=True)
            return np.full(self.rows, values[counts.argmax()])
        if metric in CLASS_METRICS:
            return np.full(self.rows, self.positive)
        return np.full(self.rows, (self.truth == self.positive).mean())
