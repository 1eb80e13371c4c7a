from __future__ import annotations

import re
import unicodedata
from collections import Counter

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gristmill.validate import profile
from gristmill.validate.statistics.hashing import hash_texts
from gristmill.validate.statistics.text_shape import MAX_TEXTS, TextShape, as_regex

TEXTS = st.lists(
    st.sampled_from(
        ["", "nan", " N/A ", "?", "Ab-12", "AB-12", "12", "3.5e4", "été", "Мир", "漢字", "日 本"]
    )
    | st.text("aB9 é-\\{}\n我", max_size=8),
    max_size=30,
)


def _shape(texts: list[str]) -> TextShape:
    counted = Counter(texts)
    return TextShape.of(pl.Series(list(counted), dtype=pl.String), np.array([*counted.values()]))


@given(TEXTS, st.integers(0, 30))
@settings(max_examples=100, deadline=None)
def test_figures_are_those_of_plain_loops_in_any_split(texts: list[str], cut: int) -> None:
    state = _shape(texts[cut:]) + _shape(texts[:cut])
    assert (state.cells, state.error) == (len(texts), 0)
    assert state.ascii == sum(text.isascii() for text in texts)
    assert state.latin1 == sum(not t.isascii() and max(map(ord, t)) < 256 for t in texts)
    assert state.words == sum(len(text.split()) for text in texts)
    letters = Counter(
        unicodedata.name(c).split()[0].removesuffix("-").title()
        for text in texts
        for c in text
        if c.isalpha()
    )
    expected = {"Latin": letters["Latin"], "Cyrillic": letters["Cyrillic"], "Han": letters["Cjk"]}
    assert state.letters == {script: n for script, n in sorted(expected.items()) if n}
    shapes = {
        "padded": lambda t: t != t.strip(),
        "upper": lambda t: t.isupper(),
        "lower": lambda t: t.islower(),
        "digits": lambda t: re.fullmatch(r"\d+", t) is not None,
    }
    for name, holds in shapes.items():
        assert state.shapes.get(name, 0) == sum(map(holds, texts)), name
    words = {"", "nan", "n/a", "?", "-", "--"}
    assert sum(state.null_words.values()) == sum(t.strip().lower() in words for t in texts)
    assert state.to_document() == _shape(texts).to_document()
    assert TextShape.from_document(state.to_document()).to_document() == state.to_document()


@given(TEXTS)
@settings(max_examples=60, deadline=None)
def test_patterns_match_as_many_texts_as_they_say(texts: list[str]) -> None:
    for pattern, share in _shape(texts).patterns():
        compiled = pl.Series(texts).str.contains(f"(?s)^(?:{pattern})$")
        assert compiled.sum() >= round(share * len(texts)) > 0


def test_patterns_are_runs_of_character_classes() -> None:
    state = _shape(["ABC-1234"] * 6 + ["XYZ-0000"] * 3 + ["a.b"])
    assert state.patterns() == [(r"\p{Lu}{3}\-\d{4}", 0.9), (r"\p{Ll}\.\p{Ll}", 0.1)]
    assert as_regex(r"\{{2}9") == r"\{{2}\d"


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("The cab was late again, and dirty.", "natural_language"),
        ("https://example.org/a?b=c", "url"),
        ("ann.lee+x@example.co.uk", "email"),
        ("123e4567-e89b-12d3-a456-426614174000", "uuid"),
        ("2024-01-31T12:30:05.25Z", "time"),
        ("QUJDREVGR0hJSktMTU5PUFFSU1RVVldYWVowMTIzNDU=", "base64"),
        ("iVBORw0KGgoAAAANSUhEUg", "image"),
    ],
)
def test_what_a_column_looks_like(text: str, kind: str) -> None:
    assert TextShape.of(pl.Series([text]), np.array([100])).semantic == kind
    assert TextShape.of(pl.Series([text]), np.array([99])).semantic is None
    assert _shape([text] * 79 + ["-"] * 21).semantic is None


def test_numbers_and_titles_among_texts() -> None:
    state = _shape(["1,234.5", " -3 ", "12 %", ".5", "1.2.3", "New York", "O’Hare", "new York"])
    assert state.shapes["number"] == 4
    assert state.shapes["title"] == 2


@pytest.mark.parametrize("seed", range(3))
def test_a_sample_of_many_texts_keeps_its_bound_and_every_null_word(seed: int) -> None:
    rng = np.random.default_rng(seed)
    upper = rng.random(6 * MAX_TEXTS) < 0.3
    texts = [f"ID{i}" if up else f"id{i}" for i, up in enumerate(upper)] + ["nan", "NULL"]
    counts = np.append(rng.integers(1, 4, len(upper)), [2, 1])
    state = TextShape.of(pl.Series(texts), counts)
    assert 0 < state.error < 0.05 * state.cells
    assert abs(state.shapes["upper"] - int(counts[:-2][upper].sum())) <= 2 * state.error
    assert state.null_words == {"NULL": 1, "nan": 2}
    order = rng.permutation(len(texts))
    shuffled = TextShape.of(pl.Series([texts[i] for i in order]), counts[order])
    assert shuffled.to_document() == state.to_document()
    words = hash_texts(pl.Series(texts))
    assert TextShape.of(pl.Series(texts), counts, words).to_document() == state.to_document()


def test_long_texts_are_cut_and_nothing_is_something() -> None:
    assert _shape(["ab " * 10_000]).words <= 256
    assert _shape([]).describe()["patterns"] == []


def test_long_texts_are_of_the_letters_that_they_have() -> None:
    """Values that are counted are cut, and end in a mark of ours."""
    found = profile(pl.DataFrame({"text": ["spam now " * 400, "spam now"]})).features["text"].text
    assert found is not None
    assert (found.cells, found.ascii, found.latin1) == (2, 2, 0)
