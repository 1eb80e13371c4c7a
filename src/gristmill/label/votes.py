"""Votes: what every source said about every row."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Self

import msgspec
import numpy as np
from numpy.typing import ArrayLike, NDArray

from gristmill.core.errors import LabelError
from gristmill.core.fingerprint import fingerprint
from gristmill.data.table import ROW_ID, as_table
from gristmill.label.codes import BadVoteError, VoteCodes, check_classes, vote_dtype
from gristmill.label.matrices import check_range, dense, from_triples, known_classes
from gristmill.label.vote import ABSTAIN

if TYPE_CHECKING:
    import polars as pl

    from gristmill.label.analysis.summary import Analysis
    from gristmill.label.gold import Gold

FAILED = "failed"
NOT_RUN = "not run"


class _Header(msgspec.Struct, frozen=True):
    classes: list[str]
    names: list[str]
    fingerprints: list[str]


@dataclass(frozen=True, eq=False)
class Votes:
    """Votes of m sources on n rows.

    Attributes:
        matrix: int8[n, m] (int16 for more than 127 classes), read-only: class 0..k-1, -1 abstain.
        row_ids: Polars series of n ids, in the order of the input.
        names: the m sources.
        fingerprints: of each source: its code, resources and preprocessors.
        classes: the k class names.
        silent: Polars frame with a row for each cell that is -1 although the source did not choose
            to abstain: `row` (int64 position), `source` (int32 index), `state` ("failed" or
            "not run"), `message` (of the first failures of each source, null for the rest).
        notes: what `apply` recomputed and why. Not stored, not part of what the votes are.
    """

    matrix: NDArray[np.integer]
    row_ids: pl.Series
    names: tuple[str, ...]
    fingerprints: tuple[str, ...]
    classes: tuple[str, ...]
    silent: pl.DataFrame
    notes: tuple[str, ...] = field(default=())

    def __post_init__(self) -> None:
        self.matrix.flags.writeable = False

    def __len__(self) -> int:
        return len(self.matrix)

    def __fingerprint__(self) -> str:
        body = (self.matrix, self.row_ids, self.names, self.fingerprints, self.classes)
        return fingerprint([*body, self.silent])

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Votes) and self.__fingerprint__() == other.__fingerprint__()

    def __hash__(self) -> int:
        return hash(self.__fingerprint__())

    def __repr__(self) -> str:
        rows, sources = self.matrix.shape
        return f"Votes({rows} rows, {sources} sources, {len(self.classes)} classes)"

    @property
    def table(self) -> pl.DataFrame:
        """The votes as a frame: `row_id`, then a column of int codes for each source."""
        import polars as pl

        columns = {name: self.matrix[:, index] for index, name in enumerate(self.names)}
        return pl.DataFrame({ROW_ID: self.row_ids, **columns})

    @property
    def covered(self) -> NDArray[np.bool_]:
        """The rows on which at least one source voted: bool[n]."""
        return np.asarray((self.matrix > ABSTAIN).any(axis=1))

    @property
    def coverage(self) -> float:
        """Share of rows on which at least one source voted; 0 without rows."""
        return float(self.covered.mean()) if len(self) else 0.0

    def failed(self) -> dict[str, int]:
        """Return how often each source failed, for those that did."""
        import polars as pl

        failed = self.silent.filter(pl.col("state") == FAILED)["source"].to_numpy()
        counts = np.bincount(failed, minlength=len(self.names))
        return {self.names[source]: int(counts[source]) for source in np.flatnonzero(counts)}

    def state(self, row_id: int | str, source: str) -> str:
        """Return what one source did on one row: "voted", "abstained", "failed" or "not run".

        Raises:
            LabelError: no such row or source.
        """
        row, column = self.position(row_id), self.source(source)
        if self.matrix[row, column] > ABSTAIN:
            return "voted"
        found = self.silent.filter((self.silent["row"] == row) & (self.silent["source"] == column))[
            "state"
        ]
        return str(found[0]) if len(found) else "abstained"

    def position(self, row_id: int | str) -> int:
        """Return the place of a row id in the input's order.

        Raises:
            LabelError: no such row.
        """
        place = self.row_ids.index_of(row_id) if _same_kind(self.row_ids, row_id) else None
        if place is None:
            raise LabelError(f"no row with id {row_id!r} among {len(self)} rows")
        return place

    def source(self, name: str) -> int:
        """Return the column of a source.

        Raises:
            LabelError: no such source.
        """
        if name not in self.names:
            raise LabelError(f"no source {name!r}; there are {', '.join(self.names)}")
        return self.names.index(name)

    def analyze(self, gold: Gold | None = None) -> Analysis:
        """Return coverage, overlaps, conflicts and, with gold, accuracy of each source."""
        from gristmill.label.analysis.summary import analyze

        return analyze(self, gold)

    def describe(self) -> dict[str, object]:
        """Return a JSON-able summary: rows, classes, and each source's fingerprint and coverage."""
        voted = (self.matrix > ABSTAIN).mean(axis=0) if len(self) else np.zeros(len(self.names))
        failed = self.failed()
        sources = [
            {
                "name": name,
                "fingerprint": mark,
                "coverage": float(share),
                "failed": failed.get(name, 0),
            }
            for name, mark, share in zip(self.names, self.fingerprints, voted, strict=True)
        ]
        return {
            "kind": "votes",
            "rows": len(self),
            "classes": list(self.classes),
            "coverage": self.coverage,
            "sources": sources,
            "notes": list(self.notes),
        }

    def to_numpy(self) -> NDArray[np.int64]:
        """Return the votes as other tools keep them: int64[n, m], -1 to abstain; a copy."""
        return self.matrix.astype(np.int64)

    def to_sparse(self) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.integer]]:
        """Return row positions, source positions and classes of the v votes given: three of [v].

        They are in the order of rows.
        """
        rows, sources = np.nonzero(self.matrix > ABSTAIN)
        return rows, sources, self.matrix[rows, sources]

    def to_parquet(self, path: Path | str) -> Path:
        """Write `table` as one Parquet file for other tools; `save` also keeps what it leaves out.

        A column of codes for each source is the sparse form: runs of -1 take next to nothing. A
        million rows with fifty sources that vote on 5 % of them take 5.3 MB (50 MB in memory);
        triples of row, source and vote take 7.3 MB.
        """
        from gristmill.data.formats import write_table

        return write_table(self.table, Path(path))

    def save(self, folder: Path | str) -> None:
        """Write `votes.parquet`, `silent.parquet` and `votes.json` into an empty folder."""
        folder = Path(folder)
        self.table.write_parquet(folder / "votes.parquet")
        self.silent.write_parquet(folder / "silent.parquet")
        self.save_header(folder)

    def save_header(self, folder: Path) -> None:
        """Write `votes.json`: classes and sources."""
        header = _Header(list(self.classes), list(self.names), list(self.fingerprints))
        (folder / "votes.json").write_bytes(msgspec.json.encode(header))

    @classmethod
    def load(cls, folder: Path | str) -> Self:
        """Read what `save` wrote.

        Raises:
            LabelError: the files are not there or do not belong together.
        """
        import polars as pl

        folder = Path(folder)
        try:
            header = msgspec.json.decode((folder / "votes.json").read_bytes(), type=_Header)
            table = pl.read_parquet(folder / "votes.parquet", hive_partitioning=False)
            silent = pl.read_parquet(folder / "silent.parquet", hive_partitioning=False)
            matrix = _stored_matrix(table, header)
        except (OSError, msgspec.DecodeError, pl.exceptions.PolarsError) as error:
            raise LabelError(f"these are no stored votes: {error}", where=str(folder)) from error
        names, marks = tuple(header.names), tuple(header.fingerprints)
        return cls(matrix, table[ROW_ID], names, marks, tuple(header.classes), silent)

    @classmethod
    def from_matrix(
        cls,
        matrix: ArrayLike,
        *,
        classes: Sequence[str] | int | None = None,
        names: Sequence[str] | None = None,
        row_ids: Sequence[int] | Sequence[str] | pl.Series | None = None,
    ) -> Self:
        """Make votes of a plain array, as other tools keep them.

        Args:
            matrix: int[n, m], class 0..k-1 or -1; floats that are whole will do.
            classes: class names or their number; default is as many as the largest vote says, at
                least two.
            names: of the m sources; default "source_0" and so on.
            row_ids: of the n rows; default 0..n-1.

        Raises:
            LabelError: the array is not two-dimensional, not of integers, or has votes outside the
                classes; ids or names are of the wrong number or not unique.
        """
        array = dense(matrix)
        known = known_classes(array, classes)
        check_range(array, known)
        labels = names or [f"source_{index}" for index in range(array.shape[1])]
        check_names(labels, array.shape[1])
        ids = check_row_ids(row_ids, len(array))
        codes: NDArray[np.integer] = np.array(array, vote_dtype(len(known)), order="F")
        marks = tuple(fingerprint(["matrix", name]) for name in labels)
        return cls(codes, ids, tuple(labels), marks, known, no_silence())

    @classmethod
    def from_sparse(
        cls,
        rows: ArrayLike,
        sources: ArrayLike,
        votes: ArrayLike,
        *,
        shape: tuple[int, int],
        classes: Sequence[str] | int | None = None,
        names: Sequence[str] | None = None,
        row_ids: Sequence[int] | Sequence[str] | pl.Series | None = None,
    ) -> Self:
        """Make votes of triples (row position, source position, class), in any order.

        Args:
            rows, sources, votes: int[v] each; what is not named abstains.
            shape: (n, m).
            classes, names, row_ids: as in `from_matrix`.

        Raises:
            LabelError: as `from_matrix`; the arrays are not of one length, a position is outside
                `shape`, or a source votes twice on a row.
        """
        matrix, known = from_triples(rows, sources, votes, shape, classes)
        return cls.from_matrix(matrix, classes=known, names=names, row_ids=row_ids)

    @classmethod
    def from_parquet(cls, path: Path | str, *, classes: Sequence[str] | int | None = None) -> Self:
        """Read one table file of votes: `to_parquet`'s, or any with a column for each source.

        Args:
            path: Parquet, or another format of tables; with or without `row_id`.
            classes: as in `from_matrix`; with names, cells may hold them instead of indexes. An
                empty cell abstains.

        Raises:
            LabelError: as `from_matrix`; a cell is no class.
            DataError: the file cannot be read.
        """
        table = as_table(path)
        names = [name for name in table.columns if name != ROW_ID]
        highest = max((_highest(table[name]) for name in names), default=-1)
        codes = VoteCodes(check_classes(max(highest + 1, 2) if classes is None else classes))
        matrix = np.empty((table.height, len(names)), codes.dtype, order="F")
        for index, name in enumerate(names):
            try:
                matrix[:, index] = codes.encode_series(table[name])
            except BadVoteError as bad:
                raise codes.refusal(name, table[ROW_ID][bad.position], bad.value) from None
        return cls.from_matrix(matrix, classes=codes.classes, names=names, row_ids=table[ROW_ID])

    def with_notes(self, notes: Sequence[str]) -> Votes:
        """Return the same votes with other notes."""
        return replace(self, notes=tuple(notes))


def stack(parts: Sequence[Votes]) -> Votes:
    """Return the votes of several tables as one; a source that a part lacks is "not run" there.

    Where two parts know a source by the same name at different versions, the last one's is kept.

    Raises:
        LabelError: no parts, classes differ, or a row id is in two parts.
    """
    import polars as pl

    if not parts:
        raise LabelError("expected the votes of one table or more, found none")
    if any(part.classes != parts[0].classes for part in parts):
        raise LabelError("expected votes on the same classes", fix="apply with the same classes=")
    marks = {
        name: m for part in parts for name, m in zip(part.names, part.fingerprints, strict=True)
    }
    names = tuple(marks)
    matrix = np.full((sum(map(len, parts)), len(names)), ABSTAIN, parts[0].matrix.dtype, order="F")
    silent, start = [], 0
    for part in parts:
        columns = [names.index(name) for name in part.names]
        matrix[start : start + len(part), columns] = part.matrix
        moved = pl.Series(columns, dtype=pl.Int32).gather(part.silent["source"])
        silent.append(part.silent.with_columns(pl.col("row") + start, moved.alias("source")))
        absent = [index for index in range(len(names)) if index not in columns]
        silent.append(not_run(range(start, start + len(part)), absent))
        start += len(part)
    ids = check_row_ids(pl.concat([part.row_ids for part in parts]), start)
    together = pl.concat(silent).sort("row", "source")
    return Votes(matrix, ids, names, tuple(marks.values()), parts[0].classes, together)


def no_silence() -> pl.DataFrame:
    """Return the frame of cells that are silent for a reason, empty."""
    import polars as pl

    schema = {"row": pl.Int64, "source": pl.Int32, "state": pl.String, "message": pl.String}
    return pl.DataFrame(schema=schema)


def not_run(rows: range, sources: Sequence[int]) -> pl.DataFrame:
    """Return the cells of `sources` on `rows`, marked as not run."""
    import polars as pl

    frame = pl.DataFrame({"row": list(rows)}, schema={"row": pl.Int64}).join(
        pl.DataFrame({"source": list(sources)}, schema={"source": pl.Int32}), how="cross"
    )
    message = pl.lit(None, dtype=pl.String).alias("message")
    return frame.with_columns(pl.lit(NOT_RUN).alias("state"), message)


def check_names(names: Sequence[str], count: int | None = None) -> None:
    """Raise `LabelError` if names of sources are of the wrong number, repeated or reserved."""
    if count is not None and len(names) != count:
        raise LabelError(f"expected {count} names of sources, found {len(names)}")
    if len(set(names)) < len(names):
        twin = next(name for name in names if list(names).count(name) > 1)
        raise LabelError(
            f"two labelling functions are called {twin!r}", fix="give one of them name='...'"
        )
    if ROW_ID in names:
        raise LabelError(f"a labelling function cannot be called {ROW_ID!r}", fix="pass name=")


def check_row_ids(ids: Sequence[int] | Sequence[str] | pl.Series | None, count: int) -> pl.Series:
    """Return row ids as a series of `count`; 0, 1, ... where there are none.

    Raises:
        LabelError: they are not all whole numbers or all texts, or not as many.
    """
    import polars as pl

    from gristmill.data.table import with_row_id

    try:
        series = pl.Series(ROW_ID, range(count) if ids is None else ids, strict=True)
    except TypeError as error:
        raise LabelError(
            f"expected row ids that are all whole numbers or all texts: {error}"
        ) from error
    if len(series) != count:
        raise LabelError(f"expected {count} row ids, found {len(series)}")
    if count == 0:
        return series.cast(pl.Int64) if series.dtype == pl.Null else series
    return with_row_id(pl.DataFrame([series]))[ROW_ID]


def _highest(column: pl.Series) -> int:
    highest = column.max() if column.dtype.is_numeric() else None
    return int(highest) if isinstance(highest, int | float) else -1


def _stored_matrix(table: pl.DataFrame, header: _Header) -> NDArray[np.integer]:
    matrix = np.empty((table.height, len(header.names)), vote_dtype(len(header.classes)), order="F")
    for index, name in enumerate(header.names):
        matrix[:, index] = table[name].to_numpy()
    return matrix


def _same_kind(ids: pl.Series, row_id: object) -> bool:
    return isinstance(row_id, int if ids.dtype.is_integer() else str)


def require_votes(votes: object) -> None:
    """Raise `LabelError` if something else was handed in, such as the matrix alone."""
    if not isinstance(votes, Votes):
        raise LabelError(
            f"expected votes, found {type(votes).__name__}",
            fix="make them with apply(functions, table, classes=...), or of a matrix with "
            "Votes.from_matrix(matrix, classes=...)",
        )
