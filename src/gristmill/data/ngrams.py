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
import itertools
import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

_WORD = re.compile(r"\w+(?:['’]\w+)*|[^\w\s]")
_FIRST_EDGE, _LAST_EDGE = 0x110000, 0x110001
_CHARACTERS = 1 << 32

Words64 = NDArray[np.uint64]
Span = tuple[int, int]


class _Grams(NamedTuple):
    """N-grams of many rows, row after row: the hash and the row of each."""

    hashes: Words64
    rows: NDArray[np.int64]


_DIGITS_AS_ZERO = str.maketrans("123456789", "0" * 9)


def split_words(text: str) -> list[str]:
    """Return the words of a text: runs of letters, digits and inner apostrophes, or one symbol."""
    return _WORD.findall(text)


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
    vocabulary, tokens, rows = _tokenise(texts, lowercase)
    groups: list[_Grams] = []
    if words is not None:
        groups += _ngrams(_word_units(vocabulary)[tokens], rows, words, kind=0)
    if chars is not None:
        groups.append(_char_grams(vocabulary, tokens, rows, chars))
    return _scatter(groups, len(texts), buckets, max_tokens)


class _Index(dict[str, int]):
    """Numbers words from 0 in the order in which they are first asked for."""

    def __missing__(self, word: str) -> int:
        number = self[word] = len(self)
        return number


def _tokenise(
    texts: Sequence[str], lowercase: bool
) -> tuple[list[str], NDArray[np.int64], NDArray[np.int64]]:
    """Return the distinct words, and for every word of every text its index there and its row."""
    split = [split_words(text.lower() if lowercase else text) for text in texts]
    index = _Index()
    tokens = list(map(index.__getitem__, itertools.chain.from_iterable(split)))
    lengths = np.fromiter(map(len, split), dtype=np.int64, count=len(split))
    return list(index), np.array(tokens, dtype=np.int64), np.repeat(np.arange(len(split)), lengths)


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
