"""Hashed n-grams against a slow reference that follows the module's description line by line."""

from __future__ import annotations

import hashlib
import subprocess
import sys
import tracemalloc
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gristmill.data.features import HashedNgrams
from gristmill.data.indexed_words import index_ascii_words, split_words

MASK = 2**64 - 1

SPANS = st.integers(1, 3).flatmap(lambda low: st.integers(low, 4).map(lambda high: (low, high)))
TEXTS = st.lists(st.text(alphabet=st.sampled_from("ab C'£é ß9.!\n") | st.characters(), max_size=30))
FEATURIZERS = st.builds(
    HashedNgrams,
    words=SPANS,
    chars=st.none() | SPANS,
    buckets=st.sampled_from([1, 2, 97, 2**16, 2**31 - 2]),
    max_tokens=st.sampled_from([1, 2, 7, 256]),
    lowercase=st.booleans(),
) | st.builds(HashedNgrams, words=st.none(), chars=SPANS)


def mix(x: int) -> int:
    x = (x + 0x9E3779B97F4A7C15) & MASK
    x = ((x ^ (x >> 30)) * 0xBF58476D1CE4E5B9) & MASK
    x = ((x ^ (x >> 27)) * 0x94D049BB133111EB) & MASK
    return x ^ (x >> 31)


def ids_of(units: list[int], span: tuple[int, int], kind: int, buckets: int) -> list[int]:
    ids = []
    for n in range(span[0], span[1] + 1):
        for start in range(len(units) - n + 1):
            chain = units[start]
            for unit in units[start + 1 : start + n]:
                chain = (mix(chain) + unit) & MASK
            ids.append(1 + mix(chain ^ mix(n + kind)) % buckets)
    return ids


def reference(featurizer: HashedNgrams, text: str) -> list[int]:
    words = split_words(text.lower() if featurizer.lowercase else text)
    ids = []
    if featurizer.words:
        units = [
            int.from_bytes(
                hashlib.blake2b(word.encode("utf-8", "surrogatepass"), digest_size=8).digest(),
                "little",
            )
            for word in words
        ]
        ids += ids_of(units, featurizer.words, 0, featurizer.buckets)
    for word in words:
        if featurizer.chars:
            units = [0x110000, *map(ord, word), 0x110001]
            ids += ids_of(units, featurizer.chars, 1 << 32, featurizer.buckets)
    return ids[: featurizer.max_tokens]


@given(featurizer=FEATURIZERS, texts=TEXTS)
def test_fast_ids_are_those_of_the_reference(featurizer: HashedNgrams, texts: list[str]) -> None:
    rows = [reference(featurizer, text) for text in texts]
    width = max([1, *map(len, rows)])
    ids = featurizer.encode(texts)
    assert ids.dtype == np.int64
    assert ids.shape == (len(texts), width)
    assert ids.tolist() == [row + [0] * (width - len(row)) for row in rows]
    values, offsets = featurizer.encode_rows(texts)
    cut = pairwise(offsets.tolist())
    assert [values[start:stop].tolist() for start, stop in cut] == [row or [0] for row in rows]


def test_plain_texts_and_others_keep_their_rows() -> None:
    texts = [f"word {number} again" if number % 3 else "é ß ''" for number in range(900)]
    featurizer = HashedNgrams(chars=(2, 3), max_tokens=9)
    whole = featurizer.encode(texts)
    assert [ids[:9] for ids in whole.tolist()] == [reference(featurizer, each) for each in texts]


@given(featurizer=FEATURIZERS, texts=TEXTS.filter(bool), data=st.data())
def test_a_row_does_not_depend_on_the_others(
    featurizer: HashedNgrams, texts: list[str], data: st.DataObject
) -> None:
    row = data.draw(st.integers(0, len(texts) - 1))
    together, alone = featurizer.encode(texts)[row], featurizer.encode([texts[row]])[0]
    length = np.count_nonzero(alone)
    np.testing.assert_array_equal(together[:length], alone[:length])
    assert not together[length:].any()


@given(texts=TEXTS, buckets=st.integers(1, 50))
def test_ids_stay_within_the_buckets_and_padding_is_on_the_right(
    texts: list[str], buckets: int
) -> None:
    ids = HashedNgrams(buckets=buckets, chars=(2, 3)).encode(texts)
    assert ids.min(initial=0) >= 0
    assert ids.max(initial=0) <= buckets
    assert not ((ids[:, :-1] == 0) & (ids[:, 1:] != 0)).any()


def test_ids_are_these_for_good() -> None:
    """A change here breaks every bundle that was ever written: make a new featurizer instead."""
    text = ["Don't WIN £900 now!"]
    assert HashedNgrams(words=(1, 1)).encode(text).tolist() == [
        [47293, 23904, 52424, 29342, 35231, 28678]
    ]
    assert HashedNgrams(words=(2, 2)).encode(text).tolist() == [[27588, 44098, 11462, 44511, 9691]]
    assert HashedNgrams(words=None, chars=(3, 3)).encode(["win"]).tolist() == [
        [25808, 12205, 58655]
    ]


def test_ids_do_not_depend_on_the_hash_seed_of_python() -> None:
    code = (
        "from gristmill.data.features import HashedNgrams;"
        "print(HashedNgrams(chars=(2, 3)).encode(['win a prize', 'hello']).tolist())"
    )
    outputs = {
        subprocess.run(
            [sys.executable, "-c", code],
            capture_output=True,
            check=True,
            env={"PYTHONHASHSEED": seed},
        ).stdout
        for seed in ("0", "1")
    }
    assert len(outputs) == 1


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Don't panic!!", ["Don't", "panic", "!", "!"]),
        ("it’s £5.00", ["it’s", "£", "5", ".", "00"]),
        ("'quoted' a_b", ["'", "quoted", "'", "a_b"]),
        ("日本語 naïve", ["日本語", "naïve"]),
        (" \t\n", []),
    ],
)
def test_words(text: str, words: list[str]) -> None:
    assert split_words(text) == words


@given(texts=st.lists(st.text(st.characters(codec="ascii"), max_size=20)), lowercase=st.booleans())
def test_ascii_texts_have_the_words_of_any_text(texts: list[str], lowercase: bool) -> None:
    found = index_ascii_words(texts, lowercase=lowercase)
    assert len(set(found.vocabulary)) == len(found.vocabulary)
    by_row: list[list[str]] = [[] for _ in texts]
    for row, token in zip(found.rows.tolist(), found.tokens.tolist(), strict=True):
        by_row[row].append(found.vocabulary[token])
    assert by_row == [split_words(text.lower() if lowercase else text) for text in texts]


@pytest.mark.parametrize("every", [1, 7, 400])
def test_many_texts_have_the_ids_of_each_alone(every: int) -> None:
    words = ["it's", "42", "", "\x1f", "WIN", "a_b", "'", "naïve", "£9", "İ"]
    texts = [
        " ".join((words[:7] if row % every else words)[row % 4 : row % 11]) for row in range(800)
    ]
    featurizer = HashedNgrams(words=(1, 2), chars=(2, 3), max_tokens=40)
    rows = [featurizer.encode([text])[0] for text in texts]
    expected = np.zeros((len(rows), max(map(len, rows))), np.int64)
    for place, row in enumerate(rows):
        expected[place, : len(row)] = row
    np.testing.assert_array_equal(featurizer.encode(texts), expected)


def test_the_order_of_words_and_groups() -> None:
    one, both = HashedNgrams(words=(1, 1)), HashedNgrams(words=(1, 2), chars=(2, 2))
    pairs = HashedNgrams(words=(2, 2))
    chars = HashedNgrams(words=None, chars=(2, 2))
    text = ["a b c"]
    expected = [one.encode(text), pairs.encode(text), chars.encode(text)]
    np.testing.assert_array_equal(both.encode(text), np.concatenate(expected, axis=1))


def test_equal_words_share_an_id_and_case_is_folded_only_when_asked() -> None:
    folded = HashedNgrams(words=(1, 1)).encode(["win WIN"])[0]
    kept = HashedNgrams(words=(1, 1), lowercase=False).encode(["win WIN"])[0]
    assert folded[0] == folded[1]
    assert kept[0] != kept[1]


def test_texts_without_spaces_are_not_kept():
    featurizer = HashedNgrams(buckets=97)
    featurizer.encode(["warm"])
    tracemalloc.start()
    try:
        for number in range(50):
            featurizer.encode([f"{number:0100000}"])
        kept, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert kept < 500_000
