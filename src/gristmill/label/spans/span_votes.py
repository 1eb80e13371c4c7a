"""What every source said about every token."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Self

import msgspec
import numpy as np
from numpy.typing import NDArray

from gristmill.core.errors import LabelError
from gristmill.core.fingerprint import fingerprint
from gristmill.data.table import ROW_ID
from gristmill.label.spans.bio import (
    OUTSIDE,
    Span,
    bounds,
    decode,
    encode,
    parse_tags,
    tag_count,
)
from gristmill.label.votes import check_names

if TYPE_CHECKING:
    import polars as pl

    from gristmill.label.spans.documents import Documents

_FILES = ("span_tags.parquet", "span_documents.parquet", "span_votes.json")


class _Header(msgspec.Struct, frozen=True):
    classes: list[str]
    names: list[str]
    fingerprints: list[str]


@dataclass(frozen=True, eq=False)
class SpanVotes:
    """Tags of m sources on the t tokens of d documents.

    A source that says nothing of a token tags it O: span sources name what they find, and abstain
    on the rest.

    Attributes:
        tags: int16[t, m], codes of `bio`, read-only.
        offsets: int64[d + 1], where each document's tokens begin, and the last one's end.
        row_ids: Polars series of d ids.
        names: the m sources.
        fingerprints: of each source.
        classes: the k class names of spans.
    """

    tags: NDArray[np.int16]
    offsets: NDArray[np.int64]
    row_ids: pl.Series
    names: tuple[str, ...]
    fingerprints: tuple[str, ...]
    classes: tuple[str, ...]

    def __post_init__(self) -> None:
        self.tags.flags.writeable = False

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def __fingerprint__(self) -> str:
        body = (self.tags, self.offsets, self.row_ids, self.names, self.fingerprints, self.classes)
        return fingerprint(body)

    def __repr__(self) -> str:
        tokens, sources = self.tags.shape
        return f"SpanVotes({len(self)} documents, {tokens} tokens, {sources} sources)"

    @classmethod
    def of(
        cls,
        documents: Documents,
        columns: Mapping[str, NDArray[np.int16]],
        classes: Sequence[str],
        fingerprints: Sequence[str] | None = None,
    ) -> Self:
        """Put together the tags of sources, int[t] each, as `bio.encode` makes them.

        Raises:
            LabelError: no sources, a column is not of t tags, or a tag is outside the classes.
        """
        names, known = tuple(columns), check_span_classes(classes)
        if not names:
            raise LabelError("expected the tags of at least one source, found none")
        check_names(names)
        tokens = int(documents.offsets[-1])
        for name, column in columns.items():
            _check_tags(name, np.asarray(column), tokens, len(known))
        marks = fingerprints or [fingerprint(["tags", name]) for name in names]
        tags = np.stack(list(columns.values()), axis=1).astype(np.int16)
        return cls(tags, documents.offsets, documents.row_ids, names, tuple(marks), known)

    @classmethod
    def from_tags(
        cls,
        documents: Documents,
        tags: Mapping[str, Sequence[Sequence[str]]],
        classes: Sequence[str],
    ) -> Self:
        """Make votes of BIO tags as text: source -> for each document a tag per token.

        Raises:
            LabelError: a tag is unknown, or the tags are not one per token.
        """
        columns = {}
        for name, by_document in tags.items():
            lengths = [len(each) for each in by_document]
            if lengths != np.diff(documents.offsets).tolist():
                raise LabelError("expected one tag for each token", where=f"source {name!r}")
            flat = [tag for each in by_document for tag in each]
            columns[name] = parse_tags(flat, check_span_classes(classes))
        return cls.of(documents, columns, classes)

    def spans(self, row_id: int | str, source: str) -> list[Span]:
        """Return what a source found in a document: (first token, one past the last, class).

        Raises:
            LabelError: no such document or source.
        """
        if source not in self.names:
            raise LabelError(f"no source {source!r}; there are {', '.join(self.names)}")
        here = self.tokens_of(row_id)
        return decode(self.tags[here, self.names.index(source)])

    def tokens_of(self, row_id: int | str) -> slice:
        """Return the slice of tokens of a document.

        Raises:
            LabelError: no such document.
        """
        ids = self.row_ids.to_list()
        if row_id not in ids:
            raise LabelError(f"no document with id {row_id!r} among {len(self)}")
        place = ids.index(row_id)
        return slice(int(self.offsets[place]), int(self.offsets[place + 1]))

    @property
    def table(self) -> pl.DataFrame:
        """All votes, one span a row: `row_id`, `source`, `start`, `end`, `class`."""
        import polars as pl

        parts = [
            span_table(self.tags[:, index], self.offsets, self.row_ids, self.classes).select(
                ROW_ID, pl.lit(name).alias("source"), "start", "end", "class"
            )
            for index, name in enumerate(self.names)
        ]
        return pl.concat(parts)

    def describe(self) -> dict[str, object]:
        """Return a JSON-able summary: documents, tokens, classes, share of tokens by source."""
        share = (self.tags != OUTSIDE).mean(axis=0) if len(self.tags) else np.zeros(len(self.names))
        return {
            "kind": "span votes",
            "documents": len(self),
            "tokens": len(self.tags),
            "classes": list(self.classes),
            "sources": dict(zip(self.names, share.tolist(), strict=True)),
        }

    def save(self, folder: Path) -> None:
        """Write two Parquet files and `span_votes.json` into an empty folder."""
        import polars as pl

        columns = {name: self.tags[:, index] for index, name in enumerate(self.names)}
        pl.DataFrame(columns).write_parquet(folder / _FILES[0])
        lengths = pl.Series("tokens", np.diff(self.offsets))
        pl.DataFrame([self.row_ids.alias(ROW_ID), lengths]).write_parquet(folder / _FILES[1])
        header = _Header(list(self.classes), list(self.names), list(self.fingerprints))
        (folder / _FILES[2]).write_bytes(msgspec.json.encode(header))

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read what `save` wrote.

        Raises:
            LabelError: the files are not there or do not belong together.
        """
        import polars as pl

        from gristmill.label.spans.documents import Documents

        try:
            header = msgspec.json.decode((folder / _FILES[2]).read_bytes(), type=_Header)
            tags = pl.read_parquet(folder / _FILES[0], hive_partitioning=False)
            pieces = pl.read_parquet(folder / _FILES[1], hive_partitioning=False)
            columns = {name: tags[name].to_numpy() for name in header.names}
            lengths, ids = pieces["tokens"].to_list(), pieces[ROW_ID]
        except (OSError, msgspec.DecodeError, pl.exceptions.PolarsError) as error:
            raise LabelError(
                f"these are no stored span votes: {error}", where=str(folder)
            ) from error
        blank = Documents.of([("",) * length for length in lengths], ids)
        return cls.of(blank, columns, header.classes, header.fingerprints)


def span_table(
    tags: NDArray[np.integer],
    offsets: NDArray[np.int64],
    row_ids: pl.Series,
    classes: Sequence[str],
) -> pl.DataFrame:
    """Return the spans of int[t] tags: `row_id`, `start`, `end` (tokens), `class`, `code`."""
    import polars as pl

    found = bounds(tags, offsets)
    document = np.searchsorted(offsets, found[:, 0], side="right") - 1
    begin = offsets[document]
    names = pl.Series(list(classes), dtype=pl.String)
    return pl.DataFrame(
        {
            ROW_ID: row_ids.gather(document),
            "start": found[:, 0] - begin,
            "end": found[:, 1] - begin,
            "class": names.gather(found[:, 2]),
            "code": found[:, 2],
        }
    )


def encode_documents(documents: Documents, spans: Sequence[Sequence[Span]]) -> NDArray[np.int16]:
    """Return the tags, int16[t], of the spans of each document."""
    parts = [encode(mine, len(each)) for mine, each in zip(spans, documents.tokens, strict=True)]
    return np.concatenate([np.zeros(0, np.int16), *parts])


def check_span_classes(classes: Sequence[str]) -> tuple[str, ...]:
    """Return the class names of spans; one is enough, since O is there beside it.

    Raises:
        LabelError: none, or two of one name.
    """
    names = tuple(classes)
    if isinstance(classes, str) or not names or len(set(names)) < len(names):
        raise LabelError(f"expected a list of one or more different classes, found {classes!r}")
    return names


def _check_tags(name: str, column: NDArray[np.integer], tokens: int, classes: int) -> None:
    where = f"source {name!r}"
    if column.shape != (tokens,) or column.dtype.kind not in "iu":
        raise LabelError(
            f"expected {tokens} integer tags, found {column.dtype}{list(column.shape)}", where=where
        )
    wrong = (column < OUTSIDE) | (column >= tag_count(classes))
    if wrong.any():
        place = int(wrong.argmax())
        raise LabelError(
            f"found tag {int(column[place])} at token {place}; "
            f"expected 0 to {tag_count(classes) - 1}",
            where=where,
        )
