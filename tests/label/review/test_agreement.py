from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gristmill.label.review.agreement import agreement, cohen_kappa, krippendorff_alpha

# Krippendorff (2011), section C: four observers, twelve units, values missing.
OBSERVERS = [
    [1, 2, 3, 3, 2, 1, 4, 1, 2, None, None, None],
    [1, 2, 3, 3, 2, 2, 4, 1, 2, 5, None, 3],
    [None, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, None],
    [1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, None],
]


def gold(answers: Sequence[Sequence[object]]) -> pl.DataFrame:
    rows = [
        (row, str(said), f"observer {name}")
        for name, line in enumerate(answers)
        for row, said in enumerate(line)
        if said is not None
    ]
    schema = {"row_id": pl.Int64, "label": pl.String, "annotator": pl.String}
    return pl.DataFrame(rows, schema=schema, orient="row")


def alpha_by_pairs(counts: list[list[int]]) -> float:
    """One minus observed over expected disagreement, pair of answers by pair of answers."""
    units = [[c for c, times in enumerate(unit) for _ in range(times)] for unit in counts]
    units = [unit for unit in units if len(unit) > 1]
    everyone = [said for unit in units for said in unit]
    n = len(everyone)
    observed = sum(
        sum(a != b for a, b in itertools.permutations(unit, 2)) / (len(unit) - 1) for unit in units
    )
    expected = sum(a != b for a, b in itertools.permutations(everyone, 2))
    return math.nan if expected == 0 else 1 - (observed / n) / (expected / (n * (n - 1)))


def test_the_published_example() -> None:
    found = agreement(gold(OBSERVERS))
    assert found.alpha == pytest.approx(0.743, abs=0.0005)
    assert found.rows == 11
    assert found.disputed["row_id"].to_list() == [1, 5, 7]
    assert found.disputed["labels"].to_list()[0] == ["2", "3"]


@given(st.lists(st.lists(st.integers(0, 3), min_size=3, max_size=3), min_size=1, max_size=12))
def test_alpha_is_what_pairs_say(counts: list[list[int]]) -> None:
    np.testing.assert_allclose(
        krippendorff_alpha(np.array(counts)), alpha_by_pairs(counts), atol=1e-12
    )


def test_kappa() -> None:
    # Two readers, 50 grants: both yes 20, both no 15, observed 0.7, by chance 0.5.
    assert cohen_kappa(np.array([[20, 5], [10, 15]])) == pytest.approx(0.4)
    assert math.isnan(cohen_kappa(np.array([[7, 0], [0, 0]])))
    assert math.isnan(cohen_kappa(np.zeros((2, 2), int)))


def test_pairs_of_annotators() -> None:
    found = agreement(gold([["a", "b", "a", None], ["a", "a", None, "b"], [None, None, "a", None]]))
    assert found.pairs.select("first", "second", "rows", "agree").rows() == [
        ("observer 0", "observer 1", 2, 1),
        ("observer 0", "observer 2", 1, 1),
    ]
    told = found.describe()
    assert told["pairs"][1]["kappa"] is None
    assert told["disputed"] == 1


def test_one_annotator_agrees_with_nobody() -> None:
    found = agreement(gold([["a", "b"]]))
    assert math.isnan(found.alpha)
    assert found.describe() == {"alpha": None, "rows": 0, "disputed": 0, "pairs": []}
