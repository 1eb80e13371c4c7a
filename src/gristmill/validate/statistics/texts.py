"""Counting the texts of a column: each different text once, with its count and its hash."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Self

import numpy as np
import polars as pl

from gristmill.validate.statistics.hashing import hash_few, hash_texts
from gristmill.validate.statistics.runs import merge_counts

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Words = NDArray[np.uint64]
    Counts = NDArray[np.int64]

_HEAD = 2048
_MANY = 4
_FEW = 4096


@dataclass(frozen=True)
class Texts:
    """The different texts of one partition of a column.

    Attributes:
        texts: each once: String[m].
        counts: how often each occurs: int64[m].
        words: their hashes: uint64[m].
        row_words: the hash of each row's text: uint64[n].
    """

    texts: pl.Series
    counts: Counts
    words: Words
    row_words: Words

    @classmethod
    def of(cls, present: pl.Series) -> Self:
        """Count texts without gaps: String[n]."""
        if len(present) <= _FEW:
            return cls._of_few(present)
        head = present.head(_HEAD)
        # Where most are different, sorting their hashes is the shorter way.
        if len(head) and head.n_unique() * _MANY > len(head):
            return cls._by_hash(present)
        # Categories of its own, so that nothing of them outlives this partition.
        coded = present.cast(pl.Categorical(pl.Categories.random()))
        codes, each = coded.to_physical().to_numpy(), coded.unique()
        counts, kept = np.bincount(codes), each.to_physical().to_numpy()
        texts = each.cast(pl.String)
        words = hash_texts(texts)
        by_code = np.zeros(len(counts), dtype=np.uint64)
        by_code[kept] = words
        return cls(texts, counts[kept], words, by_code[codes])

    @classmethod
    def _of_few(cls, present: pl.Series) -> Self:
        """Count a short column: what starting a data frame's query costs is more than that."""
        counted = present.alias("text").value_counts(name="n")
        each, counts = counted.to_series(0), counted.to_series(1).to_numpy().astype(np.int64)
        texts = each.to_list()
        spelled = [text.encode() for text in texts]
        words = hash_few(spelled)
        by_text = dict(zip(texts, words.tolist(), strict=True))
        cells = map(by_text.__getitem__, present.to_list())
        made = cls(each, counts, words, np.fromiter(cells, dtype=np.uint64, count=len(present)))
        # Known already: a cached property is a plain attribute, once set.
        made.__dict__["byte_sizes"] = np.array([len(text) for text in spelled], dtype=np.int64)
        made.__dict__["sizes"] = np.array([len(text) for text in texts], dtype=np.int64)
        return made

    @classmethod
    def _by_hash(cls, present: pl.Series) -> Self:
        row_words = hash_texts(present)
        order = np.argsort(row_words)
        ordered = row_words[order]
        starts = np.flatnonzero(np.concatenate([[True], ordered[1:] != ordered[:-1]]))
        if len(starts) == len(ordered):  # as they lie in memory: faster to go through
            return cls(present, np.ones(len(present), dtype=np.int64), row_words, row_words)
        counts = np.diff(starts, append=len(ordered))
        # Gathered texts share the memory of the column, so this copies no text.
        return cls(present.gather(order[starts]), counts, ordered[starts], row_words)

    @cached_property
    def byte_sizes(self) -> Counts:
        """The length of each text in bytes of UTF-8: int64[m]."""
        return self.texts.str.len_bytes().to_numpy().astype(np.int64)

    @cached_property
    def sizes(self) -> Counts:
        """The length of each text in characters: int64[m]."""
        return self.texts.str.len_chars().to_numpy().astype(np.int64)

    @cached_property
    def plain(self) -> bool:
        """Whether every text is ASCII."""
        return bool(np.array_equal(self.sizes, self.byte_sizes))

    def counted(self, sizes: Counts) -> tuple[Counts, Counts]:
        """Count lengths, ascending, over all rows."""
        return merge_counts(sizes, self.counts)

    def count_where(self, chosen: pl.Series) -> int:
        """Count the rows whose text is chosen: Boolean[m]."""
        return int(self.counts[chosen.to_numpy()].sum())
