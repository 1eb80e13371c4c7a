from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gristmill.core.errors import LabelError
from gristmill.label.labels import Labels, build_labels
from gristmill.label.versions.changes import changed_rows
from gristmill.label.votes import Votes

NAMES = ["a", "b", "c"]


def made(ids: list[int], names: list[str], seed: int) -> Labels:
    rng = np.random.default_rng(seed)
    matrix = rng.integers(-1, 2, (len(ids), len(names)))
    votes = Votes.from_matrix(matrix, classes=2, names=names, row_ids=ids)
    share = rng.choice([0.0, 0.5, 0.9], len(ids))
    probs = np.stack([share, 1 - share], axis=1)
    gold = rng.choice([-1, -1, -1, 0, 1], len(ids))
    return build_labels(votes, probs, votes.covered, gold, method="m", model="f")


def row_by_row(before: Labels, after: Labels) -> list[dict[str, Any]]:
    """What `changed_rows` says, one row after the other."""
    sides = [
        {
            row["row_id"]: row | {"votes": dict(zip(each.votes.names, votes, strict=True))}
            for row, votes in zip(each.table.to_dicts(), each.votes.matrix.tolist(), strict=True)
        }
        for each in (before, after)
    ]
    names = list(dict.fromkeys([*before.votes.names, *after.votes.names]))
    found = []
    for row_id in dict.fromkeys([*sides[0], *sides[1]]):
        old, new = sides[0].get(row_id), sides[1].get(row_id)
        if old is None or new is None:
            change = "added" if old is None else "removed"
        elif old["label"] != new["label"]:
            change = "label"
        elif old["source"] != new["source"]:
            change = "source"
        elif max(abs(p - q) for p, q in zip(old["probs"], new["probs"], strict=True)) > 1e-6:
            change = "probs"
        else:
            continue
        said = [{} if each is None else each["votes"] for each in (old, new)]
        line: dict[str, Any] = {"row_id": row_id, "change": change}
        for name, pick in (("label", "label"), ("prob", "probs"), ("source", "source")):
            for suffix, each in (("before", old), ("after", new)):
                value = None if each is None else each[pick]
                line[f"{name}_{suffix}"] = max(value) if isinstance(value, list) else value
        line["votes_changed"] = [
            name for name in names if said[0].get(name, -1) != said[1].get(name, -1)
        ]
        found.append(line)
    return found


@settings(deadline=None, max_examples=60)
@given(
    st.lists(st.integers(0, 9), unique=True, max_size=8),
    st.lists(st.integers(0, 9), unique=True, max_size=8),
    st.lists(st.sampled_from(NAMES), unique=True, min_size=1),
    st.lists(st.sampled_from(NAMES), unique=True, min_size=1),
    st.integers(0, 99),
)
def test_it_is_what_a_loop_over_rows_says(
    ids: list[int], later_ids: list[int], names: list[str], later_names: list[str], seed: int
) -> None:
    before, after = made(ids, names, seed), made(later_ids, later_names, seed + 1)
    assert changed_rows(before, after).to_dicts() == row_by_row(before, after)


def test_equal_versions() -> None:
    found = changed_rows(made([1, 2], NAMES, 0), made([1, 2], NAMES, 0))
    assert found.height == 0
    assert found.schema["votes_changed"] == pl.List(pl.String)


def test_versions_that_cannot_be_compared() -> None:
    before = made([1], NAMES, 0)
    votes = Votes.from_matrix([[0]], classes=["x", "y"])
    none = np.array([-1])
    other = build_labels(votes, np.array([[1.0, 0]]), votes.covered, none, method="m", model="f")
    with pytest.raises(LabelError, match=r"^these labels have classes \['0', '1'\], those \['x'"):
        changed_rows(before, other)
    texts = Votes.from_matrix([[0]], classes=2, row_ids=["a"])
    other = build_labels(texts, np.array([[1.0, 0]]), texts.covered, none, method="m", model="f")
    with pytest.raises(LabelError, match="these labels have row ids of type Int64, those String"):
        changed_rows(before, other)
