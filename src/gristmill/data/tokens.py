"""Tokens of texts by a trained tokenizer, the package `tokenizers` being asked."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gristmill.core.errors import DataError, UsageError
from gristmill.data.id_rows import IdRows

_TOKENIZERS = 8


def encode_tokens(tokenizer: str, texts: Sequence[str], max_tokens: int) -> NDArray[np.int64]:
    """Return int64[n, length], as `Tokens.encode` describes."""
    flat, lengths = _tokens(tokenizer, texts, max_tokens)
    ids = np.zeros((len(lengths), max(1, int(lengths.max(initial=1)))), np.int64)
    ids[np.arange(ids.shape[1]) < lengths[:, None]] = flat
    return ids


def token_rows(tokenizer: str, texts: Sequence[str], max_tokens: int) -> IdRows:
    """Return the same ids without the padding."""
    flat, lengths = _tokens(tokenizer, texts, max_tokens)
    found = IdRows.zeros(lengths)
    if lengths.all():
        return IdRows(flat, found.offsets)
    found.values[np.repeat(lengths > 0, np.maximum(lengths, 1))] = flat
    return found


def _tokens(
    tokenizer: str, texts: Sequence[str], max_tokens: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the tokens of all texts, one text behind the other, and how many each has."""
    read = _read(tokenizer, max_tokens)
    # One by one: a batch would start threads of the package's own, which no setting here bounds.
    found = [read.encode(text).ids for text in texts]
    lengths = np.fromiter(map(len, found), np.int64, len(found))
    flat = np.fromiter(chain.from_iterable(found), np.int64, int(lengths.sum()))
    if not flat.all():
        raise DataError(
            "expected a tokenizer that gives no token the id 0, which is what rows are padded with"
        )
    return flat, lengths


def vocabulary_size(tokenizer: str) -> int:
    """Return how many ids a tokenizer has, special ones included."""
    return int(_read(tokenizer, 1).get_vocab_size(with_added_tokens=True))


@lru_cache(_TOKENIZERS)
def _read(tokenizer: str, max_tokens: int) -> Any:
    try:
        from tokenizers import Tokenizer
    except ImportError as error:
        raise UsageError(
            "this model reads texts by the package `tokenizers`, which is not installed",
            fix="pip install tokenizers",
        ) from error
    try:
        found = Tokenizer.from_str(tokenizer)
    except Exception as error:  # the package raises Exception itself
        raise DataError(f"not a tokenizer: {error}") from error
    found.no_padding()
    found.enable_truncation(max_tokens)
    return found
