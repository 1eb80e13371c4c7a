"""Spans as tags of tokens, and back: BIO (Ramshaw & Marcus 1995), in codes.

Of k classes the codes are: 0 outside of any span (O); 1 + 2c the first token of a span of class c
(B-c); 2 + 2c a further token of it (I-c).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from gristmill.core.errors import LabelError

OUTSIDE = 0

Span: TypeAlias = tuple[int, int, int]
"""First token, one past the last token, class index."""


def tag_count(classes: int) -> int:
    """Return how many tags there are for k classes: 2 k + 1."""
    return 2 * classes + 1


def tag_names(classes: Sequence[str]) -> tuple[str, ...]:
    """Return the tags by code: "O", "B-first", "I-first", "B-second" and so on."""
    return ("O", *(f"{part}-{name}" for name in classes for part in "BI"))


def class_of(tags: NDArray[np.integer]) -> NDArray[np.int64]:
    """Return the class of each tag, -1 for O."""
    return (tags.astype(np.int64) + 1) // 2 - 1


def starts(tags: NDArray[np.integer]) -> NDArray[np.bool_]:
    """Return which tags begin a span."""
    return np.asarray(tags % 2 == 1)


def may_follow(classes: int) -> NDArray[np.bool_]:
    """Return bool[tags, tags]: whether the second tag may follow the first.

    I-c follows B-c and I-c alone. What may begin a document is the row of O.
    """
    tags = np.arange(tag_count(classes))
    inside = (tags > 0) & ~starts(tags)
    same = class_of(tags)[:, None] == class_of(tags)[None, :]
    return np.asarray(~inside[None, :] | same)


def encode(spans: Iterable[Span], length: int) -> NDArray[np.int16]:
    """Return the tags of a document of so many tokens, int16[length].

    The longest of overlapping spans is kept; of equally long ones the first.
    """
    tags = np.zeros(length, np.int16)
    for start, end, label in sorted(spans, key=lambda span: (span[0] - span[1], span)):
        if not tags[start:end].any():
            tags[start] = 1 + 2 * label
            tags[start + 1 : end] = 2 + 2 * label
    return tags


def bounds(tags: NDArray[np.integer], offsets: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the spans of many documents, int64[spans, 3]: first token, one past the last, class.

    An I tag that no span of its class precedes begins one, as in the CoNLL scorer. No span goes
    beyond a document.

    Args:
        tags: int[t].
        offsets: int64[d + 1], where each document's tokens begin, and the last one's end.
    """
    labels = class_of(tags)
    border = np.zeros(len(tags) + 1, bool)
    border[offsets] = True
    changed = labels != np.concatenate([[-1], labels[:-1]])[: len(labels)]
    begins = (labels >= 0) & (starts(tags) | changed | border[:-1])
    firsts = np.flatnonzero(begins)
    stops = np.flatnonzero(np.append(begins | (labels < 0), True) | border)
    ends = stops[np.searchsorted(stops, firsts, side="right")]
    return np.stack([firsts, ends, labels[firsts]], axis=1)


def decode(tags: NDArray[np.integer]) -> list[Span]:
    """Return the spans of one document's tags, in order."""
    found = bounds(tags, np.array([0, len(tags)]))
    return [(start, end, label) for start, end, label in found.tolist()]


def parse_tags(tags: Sequence[str], classes: Sequence[str]) -> NDArray[np.int16]:
    """Return the codes of tags written as "O", "B-name" and "I-name".

    Raises:
        LabelError: a tag is none of them.
    """
    codes = {name: code for code, name in enumerate(tag_names(classes))}
    unknown = next((tag for tag in tags if tag not in codes), None)
    if unknown is not None:
        raise LabelError(f"tag {unknown!r} is none of {', '.join(codes)}")
    return np.array([codes[tag] for tag in tags], np.int16)
