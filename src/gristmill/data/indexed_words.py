"""The words of many texts, each distinct one kept once and numbered.

ASCII texts, of which there are most, are split and numbered by Polars: a third of the time, and
other threads of this process go on meanwhile. What is a word there is spelled out byte by byte, so
that it is exactly what `split_words` says.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

_WORD = re.compile(r"\w+(?:['’]\w+)*|[^\w\s]")
_LETTERS = "0-9A-Za-z_"
_SPACES = r"\t\n\x0B\x0C\r\x1C-\x1F "  # those that Python's \s holds
_ASCII_WORD = f"[{_LETTERS}]+(?:'[{_LETTERS}]+)*|[^{_LETTERS}{_SPACES}]"


class IndexedWords(NamedTuple):
    """The words of some texts.

    Attributes:
        vocabulary: the distinct words.
        tokens: of every word of every text, in reading order, its place in the vocabulary.
        rows: of every word, the number of its text; rising.
    """

    vocabulary: list[str]
    tokens: NDArray[np.int64]
    rows: NDArray[np.int64]


def split_words(text: str) -> list[str]:
    """Return the words of a text: runs of letters, digits and inner apostrophes, or one symbol."""
    return _WORD.findall(text)


def index_words(texts: Sequence[str], *, lowercase: bool) -> IndexedWords:
    """Return the words of any texts."""
    split = [split_words(text.lower() if lowercase else text) for text in texts]
    index = _Index()
    tokens = list(map(index.__getitem__, itertools.chain.from_iterable(split)))
    lengths = np.fromiter(map(len, split), dtype=np.int64, count=len(split))
    rows = np.repeat(np.arange(len(split)), lengths)
    return IndexedWords(list(index), np.array(tokens, dtype=np.int64), rows)


def index_ascii_words(texts: Sequence[str], *, lowercase: bool) -> IndexedWords:
    """Return the words of ASCII texts; worth its while from some hundreds of them."""
    import polars as pl

    cells = pl.Series(texts, dtype=pl.String)
    words = (cells.str.to_lowercase() if lowercase else cells).str.extract_all(_ASCII_WORD)
    lengths = words.list.len().to_numpy().astype(np.int64)
    flat = words.filter(words.list.len() > 0).explode()
    vocabulary = flat.unique()
    tokens = flat.cast(pl.Enum(vocabulary)).to_physical().to_numpy().astype(np.int64)
    return IndexedWords(vocabulary.to_list(), tokens, np.repeat(np.arange(len(texts)), lengths))


class _Index(dict[str, int]):
    """Numbers words from 0 in the order in which they are first asked for."""

    def __missing__(self, word: str) -> int:
        number = self[word] = len(self)
        return number
