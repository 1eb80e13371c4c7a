from __future__ import annotations

import msgspec
import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from gristmill.core.errors import LabelError
from gristmill.core.intervals import wilson
from gristmill.label.analysis.error_buckets import NO_ANSWER, buckets
from gristmill.label.models.majority import MajorityVote
from gristmill.label.votes import Votes

MATRIX = [[0, 0], [1, 0], [1, 1], [-1, 1], [-1, -1], [1, -1]]
VOTES = Votes.from_matrix(MATRIX, classes=["ham", "spam"], names=["a", "b"])
TABLE = pl.DataFrame({"text": [f"message {at}" for at in range(6)], "size": range(6)})
GOLD = {0: "ham", 1: "ham", 2: "ham", 3: "spam", 4: "spam", 5: "ham"}


@settings(deadline=None)
@given(st.integers(1, 30), st.data())
def test_buckets_part_the_gold_rows(rows: int, data: st.DataObject) -> None:
    column = hnp.arrays(np.int64, rows, elements=st.integers(-1, 2))
    said, truth = data.draw(column), data.draw(column)
    found = buckets(said, truth, classes=3)
    expected: dict[tuple[str, str], list[int]] = {}
    for place, (p, t) in enumerate(zip(said.tolist(), truth.tolist(), strict=True)):
        if t >= 0:
            expected.setdefault((str(p) if p >= 0 else NO_ANSWER, str(t)), []).append(place)
    assert {
        (each.predicted, each.truth): found.positions(each.predicted, each.truth).tolist()
        for each in found.buckets
    } == expected
    assert found.gold_rows == sum(map(len, expected.values()))
    assert [each.right for each in found.buckets] == sorted(each.right for each in found.buckets)


def test_buckets_of_labels_show_rows_to_read() -> None:
    found = buckets(MajorityVote(VOTES.classes).predict(VOTES), GOLD, TABLE)
    assert found.frame.select("predicted", "truth", "rows").rows() == [
        ("spam", "ham", 2), (NO_ANSWER, "ham", 1), (NO_ANSWER, "spam", 1),
        ("ham", "ham", 1), ("spam", "spam", 1),
    ]  # fmt: skip
    first = found.buckets[0]
    interval = wilson(2, 6)
    assert (first.share, first.low, first.high) == (interval.value, interval.low, interval.high)
    assert first.examples == (2, 5)
    assert found.row_ids("spam", "ham").to_list() == [2, 5]
    assert found.examples.columns == ["row_id", "text"]
    assert found.examples.row(0) == (2, "message 2")
    assert found.cells()[1] == ["spam", "ham", "2", "33.3% [9.7%, 70.0%]", "2, 5"]


def test_errors_of_each_source_and_the_harm_they_do() -> None:
    found = buckets(MajorityVote(VOTES.classes).predict(VOTES), GOLD)
    assert found.source_frame.rows() == [
        ("a", "spam", "ham", 3, 3, 3),
        ("b", "spam", "ham", 1, 2, 1),
    ]
    assert found.sources[0].examples == (1, 2, 5)
    assert buckets([0, 1], [1, 1]).sources == ()


def test_examples_do_not_depend_on_the_order_of_rows() -> None:
    order = [5, 3, 1, 0, 2, 4]
    turned = Votes.from_matrix(
        np.array(MATRIX)[order], classes=VOTES.classes, names=VOTES.names, row_ids=order
    )
    one = buckets(MajorityVote(VOTES.classes).predict(VOTES), GOLD)
    two = buckets(MajorityVote(VOTES.classes).predict(turned), GOLD)
    assert one.buckets == two.buckets
    assert one.sources == two.sources


def test_columns_are_chosen_and_checked() -> None:
    assert buckets([1], [0], TABLE.head(1), columns=["size"]).examples.rows() == [(0, 0)]
    with pytest.raises(LabelError, match="the table has no column 'body'; it has text, size"):
        buckets([1], [0], TABLE, columns=["body"])


def test_the_description_is_json_able() -> None:
    told = buckets([1, -1], [0, 0]).describe()
    assert msgspec.json.decode(msgspec.json.encode(told))["buckets"][0]["rows"] == 1


def test_buckets_print_as_tables() -> None:
    votes = Votes.from_matrix([[0, 0], [1, 0], [1, 1], [0, 0]], classes=["ham", "spam"])
    labels = MajorityVote(votes.classes).predict(votes)
    lines = str(buckets(labels, [1, 0, 1, 0])).splitlines()
    assert lines[0] == "2 of 4 gold rows are right (50.0%)"
    assert "spam   1" in "\n".join(lines)
    assert "source_0  ham" in "\n".join(lines)
    assert str(buckets(labels, {})) == "no gold rows: nothing to compare the labels with"
