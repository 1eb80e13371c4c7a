from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from gristmill.label.analysis.traits import Holders, Trait, find_traits, is_prose
from gristmill.label.functions.application import apply
from gristmill.label.functions.expressions import keywords, lookup, where

TEXTS = ["Free prize now", "a free PRIZE!", "no, free of prize", None, "don't go", "go go"]
FRAME = pl.DataFrame(
    {"text": TEXTS, "kind": ["a", "b", "a", None, "a", "b"], "n": [1, 1, 2, 2, 3, 3]}
)


def by_name(holders: Holders) -> dict[str, list[int]]:
    return {
        str(trait): holders.row[holders.trait == place].tolist()
        for place, trait in enumerate(holders.traits)
    }


def test_words_phrases_values_and_missing_cells() -> None:
    found = by_name(find_traits(FRAME, ["text", "kind", "n"], np.ones(6, bool), 1))
    assert found["“free” in text"] == [0, 1, 2]
    assert found["“free prize” in text"] == [0, 1]
    assert found["“don't” in text"] == [4]
    assert found["“go” in text"] == [4, 5]
    assert found["text is missing"] == [3]
    assert found["kind = a"] == [0, 2, 4]
    assert found["n = 2"] == [2, 3]
    assert "“prize don't” in text" not in found


def test_only_what_enough_target_rows_have() -> None:
    target = np.array([True, True, False, False, False, False])
    found = by_name(find_traits(FRAME, ["text", "kind"], target, 2))
    assert set(found) == {"“free” in text", "“prize” in text", "“free prize” in text"} | {
        name for name in found if "characters" in name
    }
    assert found["“free” in text"] == [0, 1, 2]


def test_ranges_of_numbers_hold_their_ends_and_no_missing_value() -> None:
    values = [*map(float, range(40)), float("nan"), None]
    frame = pl.DataFrame({"size": values})
    holders = find_traits(frame, ["size"], np.ones(42, bool), 1)
    ranges = [trait for trait in holders.traits if trait.kind == "range"]
    assert len(ranges) == 54
    for place, trait in enumerate(holders.traits):
        if trait.kind == "range":
            low, high = trait.value  # type: ignore[misc]
            rows = holders.row[holders.trait == place].tolist()
            assert rows == [at for at in range(40) if low <= at <= high]


@pytest.mark.parametrize(
    "trait",
    [
        Trait("word", "text", "free"),
        Trait("phrase", "text", "free prize"),
        Trait("length", "text", (1, 8)),
        Trait("missing", "text", None),
        Trait("value", "kind", "a"),
        Trait("value", "n", 3),
        Trait("range", "n", (2, 3)),
    ],
)
def test_the_text_to_paste_makes_the_function_that_tests_the_trait(trait: Trait) -> None:
    scope = {"keywords": keywords, "lookup": lookup, "where": where, "pl": pl}
    pasted = eval(trait.code("pasted", "yes"), scope)  # our own text, in a test
    made = trait.function("made", "yes")
    votes = apply([pasted, made], FRAME, classes=["no", "yes"])
    assert np.array_equal(votes.matrix[:, 0], votes.matrix[:, 1])
    assert (votes.matrix[:, 0] == 1).any()
    holders = find_traits(FRAME, [trait.column], np.ones(6, bool), 1)
    if trait in holders.traits:
        rows = holders.row[holders.trait == holders.traits.index(trait)]
        assert np.flatnonzero(votes.matrix[:, 1] == 1).tolist() == rows.tolist()


def test_hostile_values_stay_literal_text() -> None:
    word = "'], __import__('os') #"
    code = Trait("word", 'a"b', word).code("x", "y'z")
    assert code == f"keywords('x', [{word!r}], \"y'z\", 'a\"b')"


def test_names_are_made_of_words() -> None:
    assert Trait("phrase", "text", "free prize").slug() == "free_prize"
    assert Trait("range", "Size (kB)", (1, 2)).slug() == "size_kb_range"
    assert Trait("word", "text", "...").slug() == "word"


def test_prose_is_told_from_values() -> None:
    assert is_prose(FRAME["text"])
    assert not is_prose(FRAME["kind"])
    assert not is_prose(FRAME["n"])
