"""The hashed n-grams of many texts at once.

The hash, fixed for good, on words of 64 bits with wrap-around:

    mix(x)        the finaliser of SplitMix64 (Steele, Lea, Flood, "Fast Splittable Pseudorandom
                  Number Generators", OOPSLA 2014)
    unit(word)    the first 8 bytes, little endian, of BLAKE2b (RFC 7693) over its UTF-8
    unit(char)    its code point; the two edges of a word are 0x110000 and 0x110001
    chain(u)      unit of one;  chain(u1..un) = mix(chain(u1..un-1)) + un
    id            1 + mix(chain ^ mix(n + (1 << 32 if characters else 0))) mod buckets

So an n-gram's hash is computed from its units by arithmetic alone, for all rows together, and only
a distinct word costs a digest.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from gristmill.data.indexed_words import IndexedWords, index_ascii_words, index_words

_MANY_TEXTS = 256
_FIRST_EDGE, _LAST_EDGE = 0x110000, 0x110001
_CHARACTERS = 1 << 32

Words64 = NDArray[np.uint64]
Span = tuple[int, int]


class _Grams(NamedTuple):
    """N-grams of many rows, row after row: the hash and the row of each."""

    hashes: Words64
    rows: NDArray[np.int64]


_DIGITS_AS_ZERO = str.maketrans("123456789", "0" * 9)


def fold_digits(texts: Sequence[str]) -> list[str]:
    """Return the texts with every digit 0-9 as 0."""
    return [text.translate(_DIGITS_AS_ZERO) for text in texts]


def encode_ngrams(
    texts: Sequence[str],
    *,
    words: Span | None,
    chars: Span | None,
    buckets: int,
    max_tokens: int,
    lowercase: bool,
) -> NDArray[np.int64]:
    """Return int64[n, length], as `HashedNgrams.encode` describes."""
    spans = _Spans(words, chars, buckets, max_tokens)
    is_plain = np.fromiter(map(str.isascii, texts), np.bool_, len(texts))
    if np.count_nonzero(is_plain) < _MANY_TEXTS:
        return spans.ids(index_words(texts, lowercase=lowercase), len(texts))
    if is_plain.all():
        return spans.ids(index_ascii_words(texts, lowercase=lowercase), len(texts))
    plain, other = np.flatnonzero(is_plain), np.flatnonzero(~is_plain)
    parts = (
        (plain, index_ascii_words([texts[row] for row in plain.tolist()], lowercase=lowercase)),
        (other, index_words([texts[row] for row in other.tolist()], lowercase=lowercase)),
    )
    found = [(rows, spans.ids(indexed, len(rows))) for rows, indexed in parts]
    ids = np.zeros((len(texts), max(part.shape[1] for _, part in found)), np.int64)
    for rows, part in found:
        ids[rows, : part.shape[1]] = part
    return ids


class _Spans(NamedTuple):
    """Which n-grams are hashed; as in `HashedNgrams`."""

    words: Span | None
    chars: Span | None
    buckets: int
    max_tokens: int

    def ids(self, found: IndexedWords, texts: int) -> NDArray[np.int64]:
        """Return int64[texts, length]: the ids of the n-grams of the words of so many texts."""
        vocabulary, tokens, rows = found
        groups: list[_Grams] = []
        if self.words is not None:
            groups += _ngrams(_word_units(vocabulary)[tokens], rows, self.words, kind=0)
        if self.chars is not None:
            groups.append(_char_grams(vocabulary, tokens, rows, self.chars))
        return _scatter(groups, texts, self.buckets, self.max_tokens)


def _word_units(vocabulary: Sequence[str]) -> Words64:
    digests = b"".join(
        hashlib.blake2b(word.encode("utf-8", "surrogatepass"), digest_size=8).digest()
        for word in vocabulary
    )
    return np.frombuffer(digests, dtype="<u8").astype(np.uint64)


def _mix(x: Words64) -> Words64:
    x = x + np.uint64(0x9E3779B97F4A7C15)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


def _ngrams(units: Words64, rows: NDArray[np.int64], span: Span, kind: int) -> Iterator[_Grams]:
    """Yield the n-grams of each length in `span`; none crosses from one row into the next."""
    chain = units
    for n in range(1, span[1] + 1):
        if n > 1:
            chain = _mix(chain[:-1]) + units[n - 1 :]
        if n >= span[0]:
            first, last = rows[: len(chain)], rows[n - 1 :]
            whole = first == last
            salt = _mix(np.array([n + kind], dtype=np.uint64))
            yield _Grams(_mix(chain[whole] ^ salt), first[whole])


def _char_grams(
    vocabulary: Sequence[str], tokens: NDArray[np.int64], rows: NDArray[np.int64], span: Span
) -> _Grams:
    """Return the character n-grams of every word, word after word, shortest first within a word."""
    units, owners = _char_units(vocabulary)
    found = list(_ngrams(units, owners, span, kind=_CHARACTERS))
    hashes = np.concatenate([grams.hashes for grams in found])
    owner = np.concatenate([grams.rows for grams in found])
    by_word = np.argsort(owner, kind="stable")
    counts = np.bincount(owner, minlength=len(vocabulary))
    starts = np.cumsum(counts) - counts
    taken = _ranges(starts[tokens], counts[tokens])
    return _Grams(hashes[by_word][taken], np.repeat(rows, counts[tokens]))


def _char_units(vocabulary: Sequence[str]) -> tuple[Words64, NDArray[np.int64]]:
    """Return the code points of all words, edges added, and the word that each belongs to."""
    lengths = np.fromiter(map(len, vocabulary), dtype=np.int64, count=len(vocabulary)) + 2
    ends = np.cumsum(lengths)
    units = np.zeros(int(lengths.sum()), dtype=np.uint64)
    inner = np.ones(len(units), dtype=bool)
    inner[ends - 1] = inner[ends - lengths] = False
    points = "".join(vocabulary).encode("utf-32-le", "surrogatepass")
    units[inner] = np.frombuffer(points, dtype="<u4")
    units[ends - lengths], units[ends - 1] = _FIRST_EDGE, _LAST_EDGE
    return units, np.repeat(np.arange(len(vocabulary)), lengths)


def _ranges(starts: NDArray[np.int64], counts: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return start, start+1, ... start+count-1 for each pair, joined."""
    before = np.cumsum(counts) - counts
    return np.repeat(starts - before, counts) + np.arange(int(counts.sum()))


def _scatter(
    groups: Sequence[_Grams], n_rows: int, buckets: int, max_tokens: int
) -> NDArray[np.int64]:
    """Write each row's n-grams side by side, group after group, cut at `max_tokens`."""
    counts = [np.bincount(grams.rows, minlength=n_rows) for grams in groups]
    total = np.sum(counts, axis=0)
    width = min(max(int(total.max(initial=0)), 1), max_tokens)
    ids = np.zeros((n_rows, width), dtype=np.int64)
    used = np.zeros(n_rows, dtype=np.int64)
    for grams, count in zip(groups, counts, strict=True):
        column = _ranges(used, count)
        kept = column < width
        ids[grams.rows[kept], column[kept]] = 1 + grams.hashes[kept] % np.uint64(buckets)
        used += count
    return ids
