"""Agreement between annotators."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from gristmill.data.table import ROW_ID


@dataclass(frozen=True)
class Agreement:
    """How far annotators agree beyond chance.

    Attributes:
        alpha: Krippendorff's alpha for nominal data (Krippendorff 2011), which allows for missing
            answers and for any number of annotators: 1 is full agreement, 0 is chance; NaN where no
            row has two answers or all answers name one class.
        rows: how many rows have two answers or more.
        pairs: for each two annotators with rows in common: `first`, `second`, `rows`, `agree` (a
            count), `kappa` (Cohen 1960; NaN where chance agreement is certain).
        disputed: `row_id`, `labels`: the rows on which answers differ.
    """

    alpha: float
    rows: int
    pairs: pl.DataFrame
    disputed: pl.DataFrame

    def describe(self) -> dict[str, object]:
        """Return a JSON-able summary; a figure that is not defined is None."""
        pairs = [
            {**pair, "kappa": None if math.isnan(pair["kappa"]) else pair["kappa"]}
            for pair in self.pairs.to_dicts()
        ]
        return {
            "alpha": None if math.isnan(self.alpha) else self.alpha,
            "rows": self.rows,
            "disputed": self.disputed.height,
            "pairs": pairs,
        }


def agreement(gold: pl.DataFrame) -> Agreement:
    """Measure the agreement of annotators.

    Args:
        gold: `row_id`, `label`, `annotator`; an annotator answers a row at most once.
    """
    several = gold.filter(pl.len().over(ROW_ID) > 1)
    counts = _counts(several)
    disputed = (
        several.group_by(ROW_ID, maintain_order=True)
        .agg(pl.col("label").unique(maintain_order=True).alias("labels"))
        .filter(pl.col("labels").list.len() > 1)
    )
    return Agreement(krippendorff_alpha(counts), len(counts), _pairs(several), disputed)


def krippendorff_alpha(counts: NDArray[np.int64]) -> float:
    """Return Krippendorff's alpha for nominal data.

    Args:
        counts: int64[units, classes], how many annotators gave each class; rows with fewer than
            two answers are left out.
    """
    kept = counts[counts.sum(axis=1) > 1]
    answers = kept.sum(axis=1)
    total = kept.sum(axis=0)
    pairable = float(total.sum())
    expected = pairable**2 - float((total**2).sum())
    if expected == 0:
        return math.nan
    differing = (answers**2 - (kept**2).sum(axis=1)) / (answers - 1)
    return float(1 - (pairable - 1) * differing.sum() / expected)


def cohen_kappa(confusion: NDArray[np.int64]) -> float:
    """Return Cohen's kappa of two annotators from int64[k, k], rows by what each said."""
    total = confusion.sum()
    if total == 0:
        return math.nan
    observed = np.trace(confusion) / total
    chance = float(confusion.sum(axis=0) @ confusion.sum(axis=1)) / float(total) ** 2
    return math.nan if chance == 1 else float((observed - chance) / (1 - chance))


def _counts(several: pl.DataFrame) -> NDArray[np.int64]:
    classes = several["label"].unique().sort().to_list()
    table = several.group_by(ROW_ID, maintain_order=True).agg(
        (pl.col("label") == name).sum().alias(str(place)) for place, name in enumerate(classes)
    )
    return table.drop(ROW_ID).to_numpy().astype(np.int64).reshape(table.height, len(classes))


def _pairs(several: pl.DataFrame) -> pl.DataFrame:
    classes = several["label"].unique().sort().to_list()
    found = []
    for first, second in itertools.combinations(sorted(several["annotator"].unique()), 2):
        mine, theirs = (
            several.filter(pl.col("annotator") == name).select(ROW_ID, "label")
            for name in (first, second)
        )
        common = mine.join(theirs, on=ROW_ID, suffix="_2")
        if common.height:
            confusion = np.zeros((len(classes), len(classes)), np.int64)
            for one, other in common.select("label", "label_2").iter_rows():
                confusion[classes.index(one), classes.index(other)] += 1
            found.append(
                (first, second, common.height, int(np.trace(confusion)), cohen_kappa(confusion))
            )
    schema = {"first": pl.String, "second": pl.String, "rows": pl.Int64, "agree": pl.Int64}
    return pl.DataFrame(found, schema={**schema, "kappa": pl.Float64}, orient="row")
