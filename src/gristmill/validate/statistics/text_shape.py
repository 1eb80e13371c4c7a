"""Text shape: scripts, charset, case, white space, patterns and kinds of the texts of a column."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Self

import numpy as np
import polars as pl

from gristmill.validate.statistics.documents import Documented
from gristmill.validate.statistics.frequent import FrequentValues, most_frequent
from gristmill.validate.statistics.hashing import hash_texts
from gristmill.validate.statistics.text import (
    HINTS,
    IRREGULAR,
    NULL_WORDS,
    SCRIPTS,
    SHAPES,
    character_classes,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Counts = NDArray[np.int64]
    Words = NDArray[np.uint64]

MAX_TEXTS = 2048
LONGEST = 256
_LONGEST_NULL_WORD = 16
_HINT_SHARE = 0.8
_HINT_CELLS = 100


@dataclass(frozen=True)
class TextShape(Documented):
    """Mergeable shape of a text column; `a + b` is that of both columns on end.

    All counts are of cells. Looked at are the first 256 characters of at most 2,048 different texts
    per partition: the 1,024 most frequent and, of the others, the 1,024 with the smallest hashes,
    which then count for all the others. `error` bounds what that can do. Words for a missing value
    are looked for in every text.

    The shape is a function of the value counts alone: a column whose values are all counted needs
    no state of its own, `TextShape.of` its distinct values gives the same.

    Attributes:
        cells: how many texts there are.
        error: any count of cells may be off by so many cells (95 %); 0 while every text was
            looked at.
        letters: script -> letters ("Latin", "Han", ..., "other").
        ascii, latin1: cells of nothing beyond ASCII; of more, but nothing beyond Latin-1.
        shapes: property -> cells that have it: "padded" (white space at an end), "upper", "lower",
            "title", "digits", "number".
        hints: kind -> cells that look like it: "natural_language", "url", "email", "uuid", "time",
            "base64", "image".
        words: how many words there are.
        null_words: text that stands for a missing value, as it is spelled -> cells (exact).
        classes: character-class patterns -> cells; "" for texts too irregular for one.
    """

    cells: int
    error: int
    letters: dict[str, int]
    ascii: int
    latin1: int
    shapes: dict[str, int]
    hints: dict[str, int]
    words: int
    null_words: dict[str, int]
    classes: FrequentValues

    @classmethod
    def of(
        cls,
        texts: pl.Series,
        counts: pl.Series | Counts | None = None,
        words: Words | None = None,
    ) -> Self:
        """Compute the state of one partition.

        Args:
            texts: different texts, without nulls.
            counts: how many cells hold each; 1 each when not given.
            words: their hashes (`hash_texts`) where these are known.
        """
        weights = _weights(texts, counts)
        chosen, scaled, error = _chosen(texts, weights, words)
        head = chosen.alias("text").str.head(LONGEST).to_frame()
        totals = _totals(head, scaled)
        named = {part: _part(totals, part) for part in ("letters", "shapes", "hints")}
        return cls(
            cells=int(weights.sum()),
            error=error,
            letters=named["letters"],
            ascii=totals["charset.ascii"],
            latin1=totals["charset.latin1"] - totals["charset.ascii"],
            shapes=named["shapes"],
            hints=named["hints"],
            words=totals["words.all"],
            null_words=_null_words(texts, weights),
            classes=_classes(head["text"], scaled),
        )

    def __add__(self, other: TextShape) -> TextShape:
        joined: dict[str, object] = {}
        for field in fields(self):
            one, two = getattr(self, field.name), getattr(other, field.name)
            joined[field.name] = _summed(one, two) if isinstance(one, dict) else one + two
        return TextShape(**joined)  # type: ignore[arg-type]

    @property
    def scripts(self) -> dict[str, float]:
        """The share of letters in each script, the largest first."""
        total = sum(self.letters.values())
        ranked = sorted(self.letters.items(), key=lambda pair: (-pair[1], pair[0]))
        return {script: n / total for script, n in ranked if n}

    @property
    def average_words(self) -> float:
        """Words per cell, of those within the first 256 characters."""
        return self.words / self.cells if self.cells else 0.0

    @property
    def semantic(self) -> str | None:
        """What the column looks like; None unless 80 % of at least 100 cells do (as in TFDV)."""
        if self.cells < _HINT_CELLS or not self.hints:
            return None
        kind, count = max(self.hints.items(), key=lambda pair: pair[1])
        return kind if count >= _HINT_SHARE * self.cells else None

    def patterns(self, k: int = 20) -> list[tuple[str, float]]:
        """The k most frequent character-class patterns as regular expressions, with their shares.

        Patterns match whole texts: `[A-Z]{3}-[0-9]{4}`. Texts of more than 12 runs of characters
        have none.
        """
        if not self.cells:
            return []
        found = [(top.value, top.count) for top in self.classes.top(k + 1) if top.value]
        return [(as_regex(pattern), count / self.cells) for pattern, count in found[:k]]

    def describe(self) -> dict[str, object]:
        """The figures, JSON-able."""
        return {
            "cells": self.cells,
            "error": self.error,
            "scripts": self.scripts,
            "charset": {
                "ascii": self.ascii,
                "latin1": self.latin1,
                "beyond": max(0, self.cells - self.ascii - self.latin1),
            },
            "shapes": self.shapes,
            "hints": self.hints,
            "semantic": self.semantic,
            "average_words": self.average_words,
            "null_words": self.null_words,
            "patterns": [[pattern, share] for pattern, share in self.patterns()],
        }


def as_regex(pattern: str) -> str:
    """Turn a character-class pattern ("A{3}-9{4}") into a regular expression."""
    classes = {"A": r"\p{Lu}", "a": r"\p{Ll}", "9": r"\d"}
    runs = re.findall(r"(?s)(\\.|.)(\{\d+\})?", pattern)
    return "".join(
        (classes.get(letter) or re.escape(letter.removeprefix("\\") or letter)) + times
        for letter, times in runs
    )


def _weights(texts: pl.Series, counts: pl.Series | Counts | None) -> Counts:
    if counts is None:
        return np.ones(len(texts), dtype=np.int64)
    return np.asarray(counts, dtype=np.int64)


def _chosen(
    texts: pl.Series, counts: Counts, words: Words | None
) -> tuple[pl.Series, NDArray[np.float64], int]:
    """Choose the texts to look at, with the cells each stands for, and the error in cells (95 %).

    The others' share of anything is estimated by the sampled texts, weighed by their cells: its
    deviation is at most half of one over the root of the effective sample size (Kish 1965). Errors
    of partitions are added up, as their samples may be of the same texts.
    """
    if len(texts) <= MAX_TEXTS:
        return texts, counts.astype(np.float64), 0
    half, hashes = MAX_TEXTS // 2, hash_texts(texts) if words is None else words
    heavy, _ = most_frequent(counts, hashes, half)
    heavy = heavy[np.lexsort((hashes[heavy], -counts[heavy]))]
    is_rest = np.ones(len(counts), dtype=np.bool_)
    is_rest[heavy] = False
    rest = np.flatnonzero(is_rest)
    sample = rest[np.argpartition(hashes[rest], half)[:half]]
    sample = sample[np.argsort(hashes[sample])]
    others, seen = float(counts[rest].sum()), counts[sample].astype(np.float64)
    effective = seen.sum() ** 2 / np.square(seen).sum()
    weights = np.concatenate([counts[heavy].astype(np.float64), seen * (others / seen.sum())])
    places = np.concatenate([heavy, sample])
    return texts[places], weights, math.ceil(1.96 * others * 0.5 / math.sqrt(effective))


def _totals(texts: pl.DataFrame, weights: NDArray[np.float64]) -> dict[str, int]:
    """Weigh and add up every figure of the texts (one column, "text")."""
    plain = bool(texts["text"].str.len_bytes().sum() == texts["text"].str.len_chars().sum())
    text = pl.col("text")
    scripts = {"Latin": SCRIPTS["Latin"]} if plain else SCRIPTS
    figures = {f"letters.{name}": text.str.count_matches(p) for name, p in scripts.items()}
    if plain:
        figures |= {"charset.ascii": pl.lit(1), "charset.latin1": pl.lit(1)}
    else:
        figures |= {
            "letters.other": text.str.count_matches(r"\p{L}"),
            "charset.ascii": text.str.contains(r"^[\x00-\x7f]*$"),
            "charset.latin1": text.str.contains(r"^[\x00-\u{ff}]*$"),
        }
    figures["words.all"] = text.str.count_matches(r"\S+")
    figures |= {f"shapes.{name}": text.str.contains(p) for name, p in SHAPES.items()}
    figures |= {f"hints.{name}": text.str.contains(p) for name, p in HINTS.items()}
    table = texts.select(each.cast(pl.Float64).alias(name) for name, each in figures.items())
    if not texts.height:
        return dict.fromkeys(table.columns, 0)
    sums = weights @ np.broadcast_to(table.to_numpy(), (texts.height, table.width))
    totals = {name: round(total) for name, total in zip(table.columns, sums, strict=True)}
    if not plain:
        known = sum(totals[f"letters.{name}"] for name in SCRIPTS)
        totals["letters.other"] = max(0, totals["letters.other"] - known)
    return totals


def _part(totals: Mapping[str, int], part: str) -> dict[str, int]:
    named = ((name.partition("."), n) for name, n in totals.items())
    return {name: n for (head, _, name), n in sorted(named) if head == part and n}


def _null_words(texts: pl.Series, counts: Counts) -> dict[str, int]:
    short = texts.str.len_bytes().to_numpy() <= _LONGEST_NULL_WORD
    few, weights = texts.filter(pl.Series(short)), counts[short]
    hit = few.str.strip_chars().str.to_lowercase().is_in(pl.Series(sorted(NULL_WORDS)).implode())
    found = zip(few.filter(hit).to_list(), weights[hit.to_numpy()].tolist(), strict=True)
    return dict(sorted(found))


def _classes(texts: pl.Series, weights: NDArray[np.float64]) -> FrequentValues:
    totals: Counter[str] = Counter()
    for pattern, weight in zip(character_classes(texts), weights.tolist(), strict=True):
        totals[pattern if pattern is not None else IRREGULAR] += weight
    rounded = {pattern: round(total) for pattern, total in totals.items()}
    return FrequentValues.of({pattern: n for pattern, n in rounded.items() if n})


def _summed(one: dict[str, int], two: dict[str, int]) -> dict[str, int]:
    return dict(sorted((Counter(one) + Counter(two)).items()))
