from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gristmill.core.errors import LabelError
from gristmill.label.gold import gold_codes, read_gold
from gristmill.label.votes import Votes

VOTES = Votes.from_matrix([[0], [1], [-1]], classes=["ham", "spam"], row_ids=["a", "b", "c"])


def test_gold_comes_as_a_mapping_or_a_frame() -> None:
    import pandas as pd

    names, codes = ["spam", None, "ham"], [1, -1, 0]
    ids = ["a", "b", "c"]
    for gold in (
        dict(zip(ids, names, strict=True)),
        dict(zip(ids, np.array(codes), strict=True)),
        pl.DataFrame({"row_id": ids, "label": names, "who": "me"}),
        pd.DataFrame({"row_id": ids, "label": codes}),
    ):
        assert gold_codes(gold, VOTES).tolist() == [1, -1, 0]
    assert gold_codes(None, VOTES).tolist() == [-1, -1, -1]
    assert gold_codes({}, VOTES).tolist() == [-1, -1, -1]


def test_a_row_may_be_named_twice_if_the_labels_agree() -> None:
    gold = pl.DataFrame({"row_id": ["a", "b", "a"], "label": [1, 0, 1]})
    assert gold_codes(gold, VOTES).tolist() == [1, 0, -1]


@pytest.mark.parametrize(
    ("gold", "message"),
    [
        ({"a": "eggs"}, "^row 'a': gold label 'eggs' is none of the classes 0 'ham', 1 'spam'$"),
        ({"a": 2}, "^row 'a': gold label 2 is none of the classes"),
        ({"a": -2}, "gold label -2 is none of the classes"),
        ({"a": True}, "gold label True is none of the classes"),
        ({"a": 0.5}, "gold label 0.5 is none of the classes"),
        ({"x": 1}, "^gold labels row 'x', which is not among the 3 rows voted on\n"),
        (
            pl.DataFrame({"id": ["a"], "label": [1]}),
            r"^expected gold with columns 'row_id' and 'label', found",
        ),
        (pl.DataFrame({"row_id": ["a"]}), "^expected gold with columns 'row_id' and 'label'"),
    ],
)
def test_gold_that_does_not_fit(gold: object, message: str) -> None:
    with pytest.raises(LabelError, match=message):
        gold_codes(gold, VOTES)  # type: ignore[arg-type]


def test_names_and_numbers_may_come_in_any_form() -> None:
    whole = pl.DataFrame({"row_id": ["c", "a"], "label": [0.0, float("nan")]})
    assert gold_codes(whole, VOTES).tolist() == [-1, -1, 0]
    names = pl.DataFrame({"row_id": ["b", "a"], "label": ["spam", None]})
    for kind in (pl.Categorical, pl.Enum(["spam", "ham"])):
        assert gold_codes(names.cast({"label": kind}), VOTES).tolist() == [-1, 1, -1]  # type: ignore[dict-item]
    assert gold_codes({"a": np.int8(1), "b": "ham", "c": None}, VOTES).tolist() == [1, 0, -1]
    assert gold_codes(names.lazy(), VOTES).tolist() == [-1, 1, -1]


def test_ids_of_another_kind_are_not_among_the_rows() -> None:
    numbered = Votes.from_matrix([[0], [1]], row_ids=[7, 9])
    small = pl.DataFrame({"row_id": [9], "label": [1]}, schema_overrides={"row_id": pl.UInt8})
    assert gold_codes(small, numbered).tolist() == [-1, 1]
    for gold in ({"9": 1}, pl.DataFrame({"row_id": ["9"], "label": [1]}), {"9": 1, 9: -1}):
        with pytest.raises(
            LabelError, match=r"^gold labels row '9', which is not among the 2 rows"
        ):
            gold_codes(gold, numbered)  # type: ignore[arg-type]
    with pytest.raises(LabelError, match=r"^gold labels row 300, which is not among the 2 rows"):
        gold_codes({300: 1}, numbered)
    assert gold_codes({300: None}, numbered).tolist() == [-1, -1]


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32 - 1), st.booleans(), st.booleans())
def test_as_read_one_by_one(seed: int, texts: bool, named: bool) -> None:
    rng = np.random.default_rng(seed)
    ids = [f"r{each}" if texts else int(each) for each in rng.permutation(50)[:20]]
    votes = Votes.from_matrix(np.zeros((20, 1), int), classes=3, row_ids=ids)
    chosen = [ids[place] for place in rng.permutation(20)[: rng.integers(0, 21)]]
    codes = rng.integers(-1, 3, len(chosen)).tolist()
    labels = [(None if code < 0 else str(code)) if named else code for code in codes]
    given = dict(zip(chosen, codes, strict=True))
    expected = [given.get(each, -1) for each in ids]
    frame = pl.DataFrame({"row_id": pl.Series(chosen, dtype=votes.row_ids.dtype), "label": labels})
    for gold in (dict(zip(chosen, labels, strict=True)), frame):
        found = read_gold(gold, votes)
        assert found.codes.tolist() == expected
        assert found.weights.tolist() == [float(code >= 0) for code in expected]


def test_two_labels_that_differ_contradict_each_other() -> None:
    gold = pl.DataFrame({"row_id": ["a", "b", "b"], "label": ["ham", "spam", "ham"]})
    with pytest.raises(LabelError, match=r"^gold labels row 'b' as 'spam' and as 'ham'\n"):
        gold_codes(gold, VOTES)
    mine = gold.with_columns(annotator=pl.lit("ann"))
    with pytest.raises(LabelError, match=r"^'ann' labels row 'b' as 'spam' and as 'ham'\n"):
        gold_codes(mine, VOTES)
    with pytest.raises(LabelError, match=r"^'ann' labels row 'b' as 'spam' and as 'ham'\n"):
        gold_codes(pl.concat([mine, mine[:1].with_columns(annotator=pl.lit("bob"))]), VOTES)


def _said(*lines: tuple[str, str | None, str | None]) -> pl.DataFrame:
    return pl.DataFrame(lines, schema=["row_id", "label", "annotator"], orient="row")


def test_annotators_who_differ_are_settled() -> None:
    # Two to one about "a"; one to one about "b", which stays open; "c" is agreed.
    told = read_gold(
        _said(
            ("a", "ham", "ann"), ("a", "ham", "bob"), ("a", "spam", "cy"),
            ("b", "ham", "ann"), ("b", "spam", "bob"),
            ("c", "spam", "ann"), ("c", "spam", "ann"), ("c", None, "dan"),
        ),
        VOTES,
    )  # fmt: skip
    assert told.codes.tolist() == [0, -1, 1]
    assert told.annotators == ("ann", "bob", "cy")
    assert told.disputed.tolist() == [0, 1]
    assert told.weights[1] == 0
    assert 0.8 < told.weights[0] < 1 < told.weights[2]
    assert told.weights.sum() == pytest.approx(2)
    assert told.annotator_quality["rows"].to_list() == [3, 2, 1]
    assert told.annotator_quality["shared"].to_list() == [2, 2, 1]


def test_one_annotator_and_none() -> None:
    alone = read_gold(_said(("a", "ham", None), ("c", "spam", None)), VOTES)
    assert (alone.annotators, alone.codes.tolist()) == (("unnamed",), [0, -1, 1])
    assert alone.annotator_quality.row(0) == ("unnamed", 2, 0, None, 0.0, 1.0)
    plain = read_gold({"a": "ham"}, VOTES)
    assert (plain.annotators, plain.annotator_quality.height) == ((), 0)
    assert plain.weights.tolist() == [1, 0, 0]


def test_rows_picked_for_what_they_tell_count_for_rows_like_them() -> None:
    # 30 rows say (0, 0), 6 say (0, 1); one gold row of the first kind, three of the second.
    votes = Votes.from_matrix([[0, 0]] * 30 + [[0, 1]] * 6)
    gold = pl.DataFrame({"row_id": [0, 30, 31, 32], "label": [0, 1, 1, 0]})
    drawn = gold.with_columns(drawn=pl.Series(["random", "worth", "worth", "worth"]))
    weights = read_gold(drawn, votes).weights[[0, 30, 31, 32]]
    np.testing.assert_allclose(weights, np.array([30, 2, 2, 2]) / 9)
    for same in (gold, gold.with_columns(drawn=pl.lit("random"))):
        assert set(read_gold(same, votes).weights.tolist()) == {0.0, 1.0}


def test_no_row_counts_for_more_than_ten() -> None:
    votes = Votes.from_matrix([[0]] * 10_000 + [[1]] * 99)
    rows = [0, *range(10_000, 10_099)]
    gold = pl.DataFrame({"row_id": rows, "label": 1, "drawn": "worth"})
    weights = read_gold(gold, votes).weights[rows]
    assert weights.mean() == pytest.approx(1)
    assert weights[0] / weights[1] == pytest.approx(10 / 0.1)


def test_gold_without_any_label() -> None:
    told = read_gold(_said(("a", None, "ann")).with_columns(drawn=pl.lit("worth")), VOTES)
    assert (told.codes.tolist(), told.weights.tolist()) == ([-1, -1, -1], [0, 0, 0])
    assert told.annotators == ()


def test_what_is_no_gold() -> None:
    with pytest.raises(
        LabelError, match=r"^expected gold as a mapping, a data frame or a path, fo"
    ):
        read_gold([1, 2], VOTES)  # type: ignore[arg-type]
