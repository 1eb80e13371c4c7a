"""Featurizers: how rows become the arrays that a model reads, declared as data.

A featurizer is a small frozen record. It is stored in the bundle as JSON and the same code applies
it in training and in serving, so the two can't drift apart. NumPy and Polars load on first use:
a pipeline file may name a featurizer without paying for them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, TypeAlias

import msgspec

from gristmill.core.errors import DataError, UsageError

if TYPE_CHECKING:
    import numpy as np
    import polars as pl
    from numpy.typing import NDArray

    from gristmill.data.id_rows import IdRows
    from gristmill.data.ngrams import Ngrams

PADDING = 0
"""The id that fills a row up to the length of its batch; no n-gram ever hashes to it."""

_MOST_BUCKETS = 2**31 - 2
_LONGEST_NGRAM = 16


class HashedNgrams(
    msgspec.Struct, frozen=True, tag="hashed_ngrams", tag_field="kind", forbid_unknown_fields=True
):
    """Word and character n-grams of a text, hashed into a fixed number of buckets.

    The hashing trick of Weinberger et al., "Feature Hashing for Large Scale Multitask Learning"
    (ICML 2009): no vocabulary to fit, store or outgrow. A row lists its word n-grams first,
    shortest first and each length in reading order, then the character n-grams of each word in
    reading order; what does not fit in `max_tokens` is cut from the end. The hash is fixed for good
    (see `gristmill.data.ngrams`): the same text gives the same ids on every machine and version.

    Attributes:
        column: the text column that is read.
        words: shortest and longest word n-gram, or None for none. With `(1, 1)` the ids are the
            words in reading order, which is what a sequence model wants.
        chars: shortest and longest character n-gram inside a word, its two edges counted as a
            character each; None for none.
        buckets: ids are 1..buckets; an embedding table needs `buckets + 1` rows.
        max_tokens: most ids kept of one row.
        lowercase: fold case before hashing.
        fold_digits: read every digit 0-9 as 0, so that numbers count by their shape: all prices of
            three digits alike, all phone numbers of eleven.

    Raises:
        UsageError: a range, or a number of buckets or tokens, makes no sense.
    """

    column: str = "text"
    words: tuple[int, int] | None = (1, 2)
    chars: tuple[int, int] | None = None
    buckets: int = 2**16
    max_tokens: int = 256
    lowercase: bool = True
    fold_digits: bool = False

    def __post_init__(self) -> None:
        if self.words is None and self.chars is None:
            raise UsageError("n-grams of neither words nor chars", fix="give words=(1, 2)")
        for name, span in (("words", self.words), ("chars", self.chars)):
            _check_span(name, span)
        _check_number("buckets", self.buckets, _MOST_BUCKETS)
        _check_number("max_tokens", self.max_tokens, 2**24)

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the columns that are read."""
        return (self.column,)

    def encode(self, texts: Sequence[str]) -> NDArray[np.int64]:
        """Return int64[n, length]: ids 1..buckets of each text, 0 where padded on the right.

        `length` is that of the longest row, at least 1 and at most `max_tokens`. A row's ids do not
        depend on the other rows.
        """
        return self._ngrams.padded(self._folded(texts))

    def encode_rows(self, texts: Sequence[str]) -> IdRows:
        """Return what `encode` does without the padding; a text without ids has one 0."""
        return self._ngrams.rows(self._folded(texts))

    @property
    def _ngrams(self) -> Ngrams:
        from gristmill.data.ngrams import Ngrams

        return Ngrams(self.words, self.chars, self.buckets, self.max_tokens, self.lowercase)

    def _folded(self, texts: Sequence[str]) -> Sequence[str]:
        from gristmill.data.ngrams import fold_digits

        return fold_digits(texts) if self.fold_digits else texts

    def apply(self, frame: pl.DataFrame) -> NDArray[np.int64]:
        """Encode the text column of a frame: int64[n, length]; an empty cell reads as "".

        Raises:
            DataError: the column is missing or holds no text.
        """
        return self.encode(_texts(frame, self.column))


class Tokens(
    msgspec.Struct, frozen=True, tag="tokens", tag_field="kind", forbid_unknown_fields=True
):
    """The tokens of a text, by a trained tokenizer: word pieces, byte pairs and others.

    Attributes:
        tokenizer: what the package `tokenizers` writes to `tokenizer.json`, as text. What it says
            of padding and of truncation is left out: rows are padded with 0, which must therefore
            be the id of no token that a text can have.
        column: the text column that is read.
        max_tokens: most ids kept of one row, special tokens included.

    Raises:
        UsageError: a number of tokens makes no sense.
    """

    tokenizer: str
    column: str = "text"
    max_tokens: int = 256

    def __post_init__(self) -> None:
        _check_number("max_tokens", self.max_tokens, 2**24)

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the columns that are read."""
        return (self.column,)

    @property
    def size(self) -> int:
        """How many ids there are; an embedding table needs as many rows."""
        from gristmill.data.tokens import vocabulary_size

        return vocabulary_size(self.tokenizer)

    def encode(self, texts: Sequence[str]) -> NDArray[np.int64]:
        """Return int64[n, length]: ids of each text, 0 where padded on the right.

        `length` is that of the longest row, at least 1. A row's ids do not depend on the others.

        Raises:
            DataError: the tokenizer can't be read, or gave a token the id 0.
        """
        from gristmill.data.tokens import encode_tokens

        return encode_tokens(self.tokenizer, texts, self.max_tokens)

    def encode_rows(self, texts: Sequence[str]) -> IdRows:
        """Return what `encode` does without the padding; a text without ids has one 0.

        Raises:
            DataError: as `encode`.
        """
        from gristmill.data.tokens import token_rows

        return token_rows(self.tokenizer, texts, self.max_tokens)

    def apply(self, frame: pl.DataFrame) -> NDArray[np.int64]:
        """Encode the text column of a frame: int64[n, length]; an empty cell reads as "".

        Raises:
            DataError: the column is missing or holds no text.
        """
        return self.encode(_texts(frame, self.column))


class Columns(
    msgspec.Struct, frozen=True, tag="columns", tag_field="kind", forbid_unknown_fields=True
):
    """Numeric columns, side by side, as they are.

    Attributes:
        names: the columns that are read, in the order of the model's input.

    Raises:
        UsageError: no column is named, or one is named twice.
    """

    names: tuple[str, ...]

    def __post_init__(self) -> None:
        if not self.names or len(set(self.names)) != len(self.names):
            raise UsageError(f"expected one or more different columns, found {self.names!r}")

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the columns that are read."""
        return self.names

    def apply(self, frame: pl.DataFrame) -> NDArray[np.float32]:
        """Return float32[n, len(names)].

        Raises:
            DataError: a column is missing, is not numeric, or has a cell that is empty or not
                finite as float32.
        """
        import numpy as np

        matrix = np.empty((frame.height, len(self.names)), dtype=np.float32)
        for position, name in enumerate(self.names):
            matrix[:, position] = _finite_floats(_column(frame, name))
        return matrix


Featurizer: TypeAlias = HashedNgrams | Tokens | Columns
"""Any featurizer; told apart in JSON by the key `kind`."""


def featurizer_to_json(featurizer: Featurizer) -> bytes:
    """Write a featurizer as JSON; equal featurizers give equal bytes."""
    return msgspec.json.format(msgspec.json.encode(featurizer, order="deterministic"), indent=2)


def featurizer_from_json(data: bytes) -> Featurizer:
    """Read what `featurizer_to_json` wrote.

    Raises:
        DataError: the JSON is not a featurizer, or one whose numbers make no sense.
    """
    try:
        return msgspec.json.decode(data, type=HashedNgrams | Tokens | Columns)
    except (msgspec.DecodeError, UsageError, UnicodeDecodeError) as error:
        raise DataError(f"not a featurizer: {error}") from error


def _check_span(name: str, span: tuple[int, int] | None) -> None:
    if span is None:
        return
    shortest, longest = span
    if not 1 <= shortest <= longest <= _LONGEST_NGRAM:
        raise UsageError(
            f"expected {name}=(shortest, longest) within 1..{_LONGEST_NGRAM}, found {span!r}"
        )


def _check_number(name: str, value: int, most: int) -> None:
    if not 1 <= value <= most:
        raise UsageError(f"expected {name} within 1..{most}, found {value!r}")


def _column(frame: pl.DataFrame, name: str) -> pl.Series:
    if name not in frame.columns:
        raise DataError(
            f"expected a column {name!r}, found {', '.join(frame.columns) or 'no columns'}"
        )
    return frame[name]


def _texts(frame: pl.DataFrame, name: str) -> list[str]:
    import polars as pl

    column = _column(frame, name)
    if column.dtype not in (pl.String, pl.Categorical, pl.Enum, pl.Null):
        raise DataError(
            f"expected text, found {column.dtype}",
            where=f"column {name!r}",
            fix=f"cast the column, or name another: {', '.join(frame.columns)}",
        )
    return column.cast(pl.String).fill_null("").to_list()


def _finite_floats(column: pl.Series) -> NDArray[np.float32]:
    import numpy as np
    import polars as pl

    where = f"column {column.name!r}"
    if not (column.dtype.is_numeric() or column.dtype in (pl.Boolean, pl.Null)):
        raise DataError(f"expected numbers, found {column.dtype}", where=where)
    with np.errstate(over="ignore"):
        values = column.cast(pl.Float64).to_numpy().astype(np.float32)
    bad = np.flatnonzero(~np.isfinite(values))
    if bad.size:
        raise DataError(
            f"expected finite numbers, found {column[int(bad[0])]!r}"
            f" ({bad.size} such of {values.size} rows)",
            where=f"{where}, row {int(bad[0])}",
        )
    return values
