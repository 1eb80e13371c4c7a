from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gristmill.core.errors import LabelError
from gristmill.core.fingerprint import fingerprint
from gristmill.label.spans.documents import Document, Documents
from gristmill.label.spans.functions import apply_spans, gazetteer, span_function, span_pattern

words = st.lists(st.sampled_from(["a", "b", "A"]), max_size=8)
entries = st.lists(st.lists(st.sampled_from(["a", "b", "A"]), min_size=1, max_size=3), min_size=1)


@span_function
def titles(document: Document) -> Iterator[tuple[int, int, str]]:
    for place, token in enumerate(document.tokens[:-1]):
        if token == "Mr":
            yield place + 1, place + 2, "per"


@given(words, entries, st.booleans())
def test_a_gazetteer_finds_the_longest_entry_at_each_place(
    tokens: list[str], listed: list[list[str]], cased: bool
) -> None:
    def same(left: list[str], right: list[str]) -> bool:
        return left == right if cased else [x.lower() for x in left] == [x.lower() for x in right]

    expected, place = [], 0
    while place < len(tokens):
        lengths = [len(each) for each in listed if same(tokens[place : place + len(each)], each)]
        if lengths:
            expected.append((place, place + max(lengths), "x"))
        place += max(lengths, default=1)
    found = gazetteer("g", listed, "x", cased=cased)(Document(0, tuple(tokens)))
    assert list(found) == expected


def test_a_match_becomes_the_tokens_that_it_touches() -> None:
    document = Document(0, ("on", "3", "May", "2020", "in", "Rome"))
    assert list(span_pattern("date", r"\d+ \w+ 20", 0)(document)) == [(1, 4, 0)]
    assert list(span_pattern("place", r"in (?P<span>[A-Z]\w+)", "loc")(document)) == [(5, 6, "loc")]
    assert list(span_pattern("nothing", r" ", 0)(Document(0, ("a", "b")))) == []
    assert list(span_pattern("shout", "ROME", 0, ignore_case=True)(document)) == [(5, 6, 0)]


def test_sources_are_asked_about_every_document() -> None:
    documents = Documents.of([["Mr", "Lee", "left"], ["Rome"]])
    votes = apply_spans(
        [titles, gazetteer("cities", ["Rome", "New York"], "loc")],
        documents,
        classes=["per", "loc"],
    )
    assert votes.names == ("titles", "cities")
    assert votes.table.rows() == [(0, "titles", 1, 2, "per"), (1, "cities", 0, 1, "loc")]


def test_fingerprints_follow_what_a_source_looks_for() -> None:
    one, same = gazetteer("g", ["a", "b c"], 0), gazetteer("g", ["b c", "a"], 0)
    assert fingerprint(one) == fingerprint(same)
    assert fingerprint(one) != fingerprint(gazetteer("g", ["a", "b"], 0))
    assert fingerprint(span_pattern("p", "a", 0)) != fingerprint(span_pattern("p", "b", 0))
    assert fingerprint(titles) != fingerprint(one)


def test_what_is_no_span_is_refused() -> None:
    documents = Documents.of([["a", "b"]], ["q"])

    def returning(*found: object) -> object:
        return span_function(lambda document: found, name="f")  # type: ignore[call-overload,arg-type,return-value]

    for bad in [(0, 3, "per"), (1, 1, "per"), (-1, 1, "per"), (0, 1, "org"), (0, 1, True), "ab"]:
        with pytest.raises(LabelError) as caught:
            apply_spans([returning(bad)], documents, classes=["per"])  # type: ignore[list-item]
        assert str(caught.value) == (
            f"span function 'f', document 'q': found {bad!r}; expected (first token, one past the "
            "last, class) within 2 tokens, of a class out of per"
        )
    with pytest.raises(LabelError, match="document 'q': raised ZeroDivisionError: division"):
        apply_spans([span_function(lambda d: 1 / 0, name="f")], documents, classes=["per"])  # type: ignore[list-item,arg-type,return-value]
    with pytest.raises(LabelError, match="no span functions"):
        apply_spans([], documents, classes=["per"])
    with pytest.raises(LabelError, match="source 'p': '\\(' is no pattern"):
        span_pattern("p", "(", 0)
    with pytest.raises(LabelError, match="gazetteer 'g': expected entries of one or more tokens"):
        gazetteer("g", [" "], 0)
    with pytest.raises(LabelError, match="needs a name"):
        span_function(lambda d: [])
