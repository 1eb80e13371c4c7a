"""Documents: texts cut into tokens."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import numpy as np
from numpy.typing import NDArray

from gristmill.core.errors import LabelError
from gristmill.data.table import ROW_ID, TableLike, as_table
from gristmill.label.votes import check_row_ids

if TYPE_CHECKING:
    import polars as pl

_TOKEN = re.compile(r"\w+|[^\w\s]")


def tokenize(text: str) -> tuple[str, ...]:
    """Cut a text into words and single signs of punctuation; white space is dropped."""
    return tuple(_TOKEN.findall(text))


@dataclass(frozen=True, slots=True)
class Document:
    """What a span function sees: `row_id`, `tokens`, and `text`, the tokens joined by blanks."""

    row_id: int | str
    tokens: tuple[str, ...]

    @property
    def text(self) -> str:
        """The tokens joined by single blanks."""
        return " ".join(self.tokens)


@dataclass(frozen=True, eq=False)
class Documents:
    """d documents of tokens.

    Attributes:
        tokens: of each document.
        row_ids: Polars series of d ids.
    """

    tokens: tuple[tuple[str, ...], ...]
    row_ids: pl.Series

    @classmethod
    def of(
        cls,
        tokens: Sequence[Sequence[str]],
        row_ids: Sequence[int] | Sequence[str] | pl.Series | None = None,
    ) -> Self:
        """Make documents of lists of tokens; ids are 0..d-1 unless given.

        Raises:
            LabelError: a document is a text, or ids are of the wrong number or not unique.
        """
        whole = next((each for each in tokens if isinstance(each, str)), None)
        if whole is not None:
            raise LabelError(
                f"expected lists of tokens, found the text {whole[:60]!r}",
                fix="cut it with tokenize(text)",
            )
        given: Sequence[object] = tokens
        for place, each in enumerate(given):
            if not isinstance(each, Sequence) or not all(isinstance(token, str) for token in each):
                raise LabelError(
                    f"expected a list of texts, the tokens, found {each!r:.60}",
                    where=f"document {place}",
                )
        return cls(tuple(map(tuple, tokens)), check_row_ids(row_ids, len(tokens)))

    @classmethod
    def from_table(cls, table: TableLike, column: str = "text") -> Self:
        """Make documents of a column of texts, or of lists of tokens; null is an empty document.

        Raises:
            LabelError: there is no such column, or it is neither.
        """
        frame = as_table(table)
        if column not in frame.columns:
            raise LabelError(f"no column {column!r}; there are {', '.join(frame.columns)}")
        cells = frame[column].to_list()
        if any(not isinstance(cell, str | list | None) for cell in cells):
            raise LabelError(
                f"expected texts or lists of tokens in column {column!r}, "
                f"found {frame[column].dtype}"
            )
        cut = [tokenize(cell) if isinstance(cell, str) else tuple(cell or ()) for cell in cells]
        return cls.of(cut, frame[ROW_ID])

    def __len__(self) -> int:
        return len(self.tokens)

    def __iter__(self) -> Iterator[Document]:
        return map(Document, self.row_ids.to_list(), self.tokens)

    @property
    def offsets(self) -> NDArray[np.int64]:
        """Where each document's tokens begin in one long row of tokens: int64[d + 1]."""
        return np.concatenate([[0], np.cumsum([len(each) for each in self.tokens], dtype=np.int64)])
