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
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from gristmill.data.id_rows import IdRows
from gristmill.data.indexed_words import IndexedWords, index_ascii_words, index_words

_MANY_TEXTS = 256
_KNOWN_WORDS, _KNOWN_CHARACTERS = 1 << 16, 64
"""How many words' digests are kept, and how long these may be: texts have many words in common.

A text without spaces is one word; of such texts a server would keep all that it is sent."""
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


class Ngrams(NamedTuple):
    """Which n-grams are hashed, and into what; as in `HashedNgrams`."""

    words: Span | None
    chars: Span | None
    buckets: int
    max_tokens: int
    lowercase: bool

    def padded(self, texts: Sequence[str]) -> NDArray[np.int64]:
        """Return int64[n, length], as `HashedNgrams.encode` describes."""
        groups, lengths = self._counted(texts)
        width = max(int(lengths.max(initial=1)), 1)
        ids = np.zeros((len(texts), width), np.int64)
        starts = np.arange(len(texts)) * width
        self._write(groups, ids.reshape(-1), starts)
        return ids

    def rows(self, texts: Sequence[str]) -> IdRows:
        """Return the same ids without the padding."""
        groups, lengths = self._counted(texts)
        found = IdRows.zeros(lengths)
        self._write(groups, found.values, found.offsets[:-1])
        return found

    def _counted(self, texts: Sequence[str]) -> tuple[list[_Grams], NDArray[np.int64]]:
        """Return the n-grams of all texts, and how many are kept of each."""
        groups = [
            grams for rows, found in _indexed(texts, lowercase=self.lowercase)
            for grams in self._grams(found, rows)
        ]  # fmt: skip
        counts = (np.bincount(grams.rows, minlength=len(texts)) for grams in groups)
        total = sum(counts, np.zeros(len(texts), np.int64))
        return groups, np.minimum(total, self.max_tokens)

    def _grams(self, found: IndexedWords, numbers: NDArray[np.int64] | None) -> Iterator[_Grams]:
        """Yield the n-grams of words; rows get these numbers, else keep their own."""
        vocabulary, tokens, rows = found
        rows = rows if numbers is None else numbers[rows]
        if self.words is not None:
            yield from _ngrams(_word_units(vocabulary)[tokens], rows, self.words, kind=0)
        if self.chars is not None:
            yield _char_grams(vocabulary, tokens, rows, self.chars)

    def _write(
        self, groups: Sequence[_Grams], ids: NDArray[np.int64], starts: NDArray[np.int64]
    ) -> None:
        """Write each row's n-grams from its start on, group after group."""
        used = np.zeros(len(starts), np.int64)
        for grams in groups:
            count = np.bincount(grams.rows, minlength=len(starts))
            column, places = _ranges(used, count), np.repeat(starts, count)
            places += column
            used += count
            hashes = grams.hashes
            if used.max(initial=0) > self.max_tokens:
                kept = column < self.max_tokens
                places, hashes = places[kept], hashes[kept]
            ids[places] = 1 + hashes % np.uint64(self.buckets)


def _indexed(
    texts: Sequence[str], *, lowercase: bool
) -> Iterator[tuple[NDArray[np.int64] | None, IndexedWords]]:
    """Yield the words of texts, and which texts these are where they are not all of them."""
    is_plain = np.fromiter(map(str.isascii, texts), np.bool_, len(texts))
    if np.count_nonzero(is_plain) < _MANY_TEXTS:
        yield None, index_words(texts, lowercase=lowercase)
        return
    if is_plain.all():
        yield None, index_ascii_words(texts, lowercase=lowercase)
        return
    plain, other = np.flatnonzero(is_plain), np.flatnonzero(~is_plain)
    yield plain, index_ascii_words([texts[row] for row in plain.tolist()], lowercase=lowercase)
    yield other, index_words([texts[row] for row in other.tolist()], lowercase=lowercase)


def _digest(word: str) -> bytes:
    return hashlib.blake2b(word.encode("utf-8", "surrogatepass"), digest_size=8).digest()


_known_digest = lru_cache(_KNOWN_WORDS)(_digest)


def _word_units(vocabulary: Sequence[str]) -> Words64:
    digests = [
        _known_digest(word) if len(word) <= _KNOWN_CHARACTERS else _digest(word)
        for word in vocabulary
    ]
    return np.frombuffer(b"".join(digests), dtype="<u8").astype(np.uint64)


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
