from __future__ import annotations

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gristmill.core.errors import LabelError
from gristmill.label.functions.application import apply
from gristmill.label.functions.expressions import keywords, lookup, pattern, where
from gristmill.label.functions.function import LabelingFunction


def votes_of(function: LabelingFunction, **columns: list[object]) -> list[int]:
    found = apply([function], pl.DataFrame(columns, strict=False), classes=["ham", "spam"])
    return found.matrix[:, 0].tolist()


def test_keywords_find_whole_words_in_either_case() -> None:
    texts = ["win now", "a window", "WIN", "to win!", None]
    assert votes_of(keywords("k", ["win"], "spam"), text=texts) == [1, -1, 1, 1, -1]
    assert votes_of(keywords("k", ["win"], "spam", whole_words=False), text=texts)[1] == 1
    assert votes_of(keywords("k", ["win"], 1, ignore_case=False), text=texts)[2] == -1


def test_keywords_are_literal_also_where_they_are_not_letters() -> None:
    texts = ["costs £5 now", "a.b", "axb", "100% sure", "c++ code", "two  words", "two words"]
    assert votes_of(keywords("k", ["£5"], 1), text=texts).index(1) == 0
    assert votes_of(keywords("k", ["a.b"], 1), text=texts) == [-1, 1, -1, -1, -1, -1, -1]
    assert votes_of(keywords("k", ["100%"], 1), text=texts).index(1) == 3
    assert votes_of(keywords("k", ["c++"], 1), text=texts).index(1) == 4
    assert votes_of(keywords("k", ["two words"], 1), text=texts).index(1) == 6


@given(
    st.lists(st.text("ab.$ \\-#&~é", min_size=1, max_size=3), min_size=1, max_size=3),
    st.text("ab.$ \\-#&~é", max_size=8),
)
def test_keywords_without_bounds_are_substrings(words: list[str], text: str) -> None:
    function = keywords("k", words, 1, whole_words=False, ignore_case=False)
    assert votes_of(function, text=[text]) == [1 if any(w in text for w in words) else -1]


@pytest.mark.parametrize("words", [[], [""], "win"])
def test_keywords_need_words(words: list[str]) -> None:
    with pytest.raises(LabelError, match="labelling function 'k': expected a list of non-empty"):
        keywords("k", words, 1)


def test_pattern() -> None:
    function = pattern("p", r"\d{3,}", "spam", column="body")
    assert votes_of(function, body=["12", "1234", None]) == [-1, 1, -1]
    assert votes_of(pattern("p", "x", 1, ignore_case=True), text=["X"]) == [1]


def test_lookup_votes_by_value_and_abstains_on_others() -> None:
    function = lookup("l", "sender", {"bank": "ham", "prize": "spam", "mum": None})
    assert votes_of(function, sender=["prize", "bank", "mum", "who", None]) == [1, 0, -1, -1, -1]
    assert votes_of(lookup("l", "n", {1: 1, 2: 0}), n=[2, 1, 3]) == [0, 1, -1]
    with pytest.raises(LabelError, match="expected a table of votes, found none"):
        lookup("l", "sender", {})


def test_where_takes_an_expression_or_a_function_that_makes_one() -> None:
    made = where("w", lambda: pl.col("n") > 3, "spam")
    given_ = where("w", pl.col("n") > 3, "spam")
    assert votes_of(made, n=[3, 4, None]) == votes_of(given_, n=[3, 4, None]) == [-1, 1, -1]


def test_fingerprints_follow_the_arguments() -> None:
    made = [
        keywords("a", ["x"], 1),
        keywords("a", ["y"], 1),
        keywords("a", ["x"], 0),
        keywords("a", ["x"], 1, column="b"),
        pattern("a", "x", 1),
        lookup("a", "text", {"x": 1}),
        where("a", lambda: pl.col("n") > 3, 1),
        where("a", lambda: pl.col("n") > 4, 1),
        where("a", pl.col("n") > 4, 1),
    ]
    marks = [function.__fingerprint__() for function in made]
    assert len(set(marks)) == len(marks)
    assert keywords("b", ["x"], 1).__fingerprint__() == marks[0]
