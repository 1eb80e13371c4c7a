"""Gold labels: what experts said, by row id."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias, Union

import numpy as np
import polars as pl
from numpy.typing import NDArray

from gristmill.core.errors import LabelError
from gristmill.data.table import ROW_ID, as_table
from gristmill.label.annotators import Consensus, consensus
from gristmill.label.codes import BadVoteError, VoteCodes, describe_classes

if TYPE_CHECKING:
    from narwhals.typing import IntoFrame

    from gristmill.label.vote import Vote
    from gristmill.label.vote_parts import VoteParts
    from gristmill.label.votes import Votes

Gold: TypeAlias = Union["Mapping[int, Vote]", "Mapping[str, Vote]", "IntoFrame"]
"""Row id -> class index or name; or a data frame with the columns `row_id` and `label`.

A frame may also say who gave a label (`annotator`; several may answer one row) and why the row was
asked about (`drawn`: "random", or "worth" where it was picked because it tells much)."""

UNKNOWN = -1
LABEL, ANNOTATOR, DRAWN = "label", "annotator", "drawn"
WORTH = "worth"
UNNAMED = "unnamed"
"""The annotator of labels that name none, in a frame that names some."""

_LEAST, _MOST = 0.1, 10.0
"""Bounds of what a gold row stands for, in those that the mean one does."""


@dataclass(frozen=True, eq=False)
class GoldRows:
    """What gold says of n rows.

    Attributes:
        codes: int64[n], the class; -1 where there is no gold, or annotators tie.
        weights: float64[n], how much the row counts: 0 where there is no gold, 1 on average where
            there is. A row on which annotators differ counts by the probability of its class. Where
            rows were picked because they tell much, each counts for the rows with the same votes,
            so that rare votes do not pass for common ones (post-stratification; Horvitz & Thompson
            1952).
        annotators: names, in the order of the alphabet; none without a column `annotator`.
        disputed: int64 positions of the rows whose annotators differ, ascending.
        annotator_quality: frame with a row for each annotator; see `Consensus.quality`.
    """

    codes: NDArray[np.int64]
    weights: NDArray[np.float64]
    annotators: tuple[str, ...]
    disputed: NDArray[np.int64]
    annotator_quality: pl.DataFrame


def gold_codes(gold: Gold | None, votes: Votes) -> NDArray[np.int64]:
    """Return the gold class of each row of the votes: int64[n], -1 where there is none.

    Raises:
        LabelError: as `read_gold`.
    """
    return read_gold(gold, votes).codes


def read_gold(gold: Gold | None, votes: Votes) -> GoldRows:
    """Return the gold class of each row of the votes, and how much it counts.

    Where annotators differ, the class is the most probable one (`annotators.consensus`).

    Raises:
        LabelError: a label is outside the classes, a row id is not among the votes', or one row
            has two labels that differ, from one annotator or from unknown ones.
    """
    return _settled(_read({} if gold is None else gold, votes), votes, [votes])


@dataclass(frozen=True, eq=False)
class GoldInParts:
    """The rows with gold, out of votes in parts.

    Attributes:
        votes: on these rows, in the order of the parts.
        gold: what gold says of them.
        places: of each part that has some: its votes' fingerprint, and int64 positions among them.
    """

    votes: Votes
    gold: GoldRows
    places: tuple[tuple[str, NDArray[np.int64]], ...]


def read_gold_in_parts(gold: Gold | None, parts: VoteParts) -> GoldInParts:
    """Return the rows with gold out of all parts, of which one is in memory at a time.

    What gold says of them is what `read_gold` of all votes at once would say.

    Raises:
        LabelError: as `read_gold`.
    """
    from gristmill.label.votes import stack

    gold = {} if gold is None else gold
    ids = _keys(list(gold)) if isinstance(gold, Mapping) else _frame(gold)[ROW_ID]
    some: list[Votes] = []
    places: list[tuple[str, NDArray[np.int64]]] = []
    for votes in parts.votes() if len(ids) else ():
        found = np.unique(_positions(ids, votes.row_ids))
        rows = found[found >= 0]
        if len(rows):
            some.append(_only(votes, rows))
            places.append((votes.__fingerprint__(), rows))
    together = stack(some or [_only(parts[0].read(), np.empty(0, np.int64))])
    told = _read(gold, together, rows=sum(parts.rows))
    return GoldInParts(together, _settled(told, together, parts.votes()), tuple(places))


def gold_of_parts(gold: Gold | None, parts: VoteParts) -> dict[str, Gold]:
    """Return fingerprint of a part's votes -> row id -> class, of the parts that have gold.

    Raises:
        LabelError: as `read_gold`.
    """
    if gold is None:
        return {}
    found, told, start = read_gold_in_parts(gold, parts), dict[str, Gold](), 0
    for mark, rows in found.places:
        ids = found.votes.row_ids.slice(start, len(rows)).to_list()
        codes = found.gold.codes[start : start + len(rows)].tolist()
        start += len(rows)
        known = {row_id: code for row_id, code in zip(ids, codes, strict=True) if code >= 0}
        if known:
            told[mark] = known
    return told


def _only(votes: Votes, rows: NDArray[np.int64]) -> Votes:
    """Return the votes on some rows, without what is said of silent cells."""
    from gristmill.label.votes import no_silence

    matrix, row_ids = votes.matrix[rows], votes.row_ids.gather(rows)
    return replace(votes, matrix=matrix, row_ids=row_ids, silent=no_silence())


def _settled(told: _Told, votes: Votes, everything: Iterable[Votes]) -> GoldRows:
    """Say what gold means for rows whose votes are given, among those of all rows."""
    found = _settle(told, votes)
    won = found.codes >= 0
    rows, counts = found.rows[won], found.probs[won]
    if told.picked and len(rows):
        counts = counts * _stands_for(votes.matrix[rows], everything)
    codes = np.full(len(votes), UNKNOWN, np.int64)
    codes[rows] = found.codes[won]
    weights = np.zeros(len(votes))
    weights[rows] = counts / counts.mean() if len(rows) else counts
    disputed = found.rows[found.disputed]
    return GoldRows(codes, weights, told.names, disputed, found.quality(told.names))


class _Told(NamedTuple):
    """The labels given, a of them.

    Attributes:
        rows: int64[a], positions.
        codes: int64[a].
        annotators: int64[a], by name; zeros if they are not known.
        names: of the annotators.
        picked: whether some of the rows were picked because they tell much.
    """

    rows: NDArray[np.int64]
    codes: NDArray[np.int64]
    annotators: NDArray[np.int64]
    names: tuple[str, ...]
    picked: bool


def _read(gold: Any, votes: Votes, rows: int | None = None) -> _Told:
    """Read gold for rows of votes, which may be some out of `rows` that were voted on."""
    if isinstance(gold, Mapping):
        frame, ids = pl.DataFrame(), _keys(list(gold))
        codes = _codes(_values(list(gold.values())), ids, votes.classes)
    else:
        frame = _frame(gold)
        ids = frame[ROW_ID]
        codes = _codes(frame[LABEL], ids, votes.classes)
    given = np.flatnonzero(codes >= 0)
    places = _positions(ids, votes.row_ids)[given]
    if (places < 0).any():
        stranger = ids[int(given[(places < 0).argmax()])]
        among = len(votes) if rows is None else rows
        raise LabelError(
            f"gold labels row {stranger!r}, which is not among the {among} rows voted on",
            fix="gold must use the row ids of the table that the votes are about",
        )
    names, annotators = _annotators(frame, given)
    picked = DRAWN in frame.columns and bool((frame[DRAWN].gather(given) == WORTH).any())
    return _Told(places, codes[given], annotators, names, picked)


def _frame(gold: Any) -> pl.DataFrame:
    import narwhals as nw

    try:
        frame = nw.from_native(gold)
    except TypeError as error:
        if not isinstance(gold, str | Path):
            raise LabelError(
                f"expected gold as a mapping, a data frame or a path, found {type(gold).__name__}",
                fix="hand in {row_id: class, ...}, or a frame with the columns row_id and label",
            ) from error
        frame = nw.from_native(as_table(gold))
    if not {ROW_ID, LABEL} <= set(frame.collect_schema().names()):
        raise LabelError(
            f"expected gold with columns {ROW_ID!r} and {LABEL!r}, "
            f"found {frame.collect_schema().names()}",
            fix="rename the columns; row_id counts the rows of the labelled table from 0 "
            "unless it has ids of its own",
        )
    # A table has each id once; gold has it once for each annotator.
    native = frame.rename({ROW_ID: "gold_row"}).to_native()
    return as_table(native).drop(ROW_ID).rename({"gold_row": ROW_ID})


def _keys(ids: list[Any]) -> pl.Series | list[Any]:
    """Return ids as a column if they are of one kind."""
    try:
        column = pl.Series(ids, strict=True)
    except (TypeError, OverflowError, pl.exceptions.PolarsError):
        return ids
    return column if column.dtype.is_integer() or column.dtype == pl.String else ids


def _values(labels: list[Any]) -> list[Any] | NDArray[np.integer]:
    """Return NumPy's integers as an array; one at a time they are slow to read."""
    if labels and all(issubclass(kind, np.integer) for kind in set(map(type, labels))):
        return np.array(labels)
    return labels


def _codes(
    labels: Any, ids: Sequence[Any] | pl.Series, classes: tuple[str, ...]
) -> NDArray[np.int64]:
    """Return the class of each label, -1 for none: int64[a]."""
    reader = VoteCodes(classes)
    try:
        if isinstance(labels, pl.Series):
            found = reader.encode_series(
                labels.fill_nan(None) if labels.dtype.is_float() else labels
            )
        else:
            found = reader.encode_all(labels)
    except BadVoteError as bad:
        raise LabelError(
            f"gold label {bad.value!r} is none of the classes {describe_classes(classes)}",
            where=f"row {ids[bad.position]!r}",
        ) from None
    return found.astype(np.int64)


def _positions(ids: Sequence[Any] | pl.Series, row_ids: pl.Series) -> NDArray[np.int64]:
    """Return the place of each id among the row ids, -1 where it has none: int64[a]."""
    if not isinstance(ids, pl.Series) or not (ids.dtype.is_integer() or ids.dtype == pl.String):
        place = {row_id: position for position, row_id in enumerate(row_ids.to_list())}
        return np.array([place.get(each, -1) for each in ids], np.int64)
    found = np.full(len(ids), -1, np.int64)
    if ids.dtype.is_integer() != row_ids.dtype.is_integer():
        return found
    wanted = ids.cast(row_ids.dtype, strict=False)
    if wanted.equals(row_ids):
        return np.arange(len(ids))
    both = (
        pl.DataFrame({ROW_ID: wanted, "place": np.arange(len(wanted))})
        .join(pl.DataFrame({ROW_ID: row_ids, "row": np.arange(len(row_ids))}), on=ROW_ID)
        .select("place", "row")
    )
    found[both["place"].to_numpy()] = both["row"].to_numpy()
    return found


def _annotators(
    frame: pl.DataFrame, given: NDArray[np.int64]
) -> tuple[tuple[str, ...], NDArray[np.int64]]:
    """Return the names of those who gave some labels, and the place of each label's among them."""
    if ANNOTATOR not in frame.columns:
        return (), np.zeros(len(given), np.int64)
    who = frame[ANNOTATOR].gather(given).cast(pl.String).fill_null(UNNAMED)
    names = tuple(who.unique().sort().to_list())
    return names, who.cast(pl.Enum(names)).to_physical().to_numpy().astype(np.int64)


def _settle(told: _Told, votes: Votes) -> Consensus:
    if len(told.names) < 2:
        codes = np.full(len(votes), UNKNOWN, np.int64)
        codes[told.rows] = told.codes
        if (codes[told.rows] != told.codes).any():
            _first_answers(told, votes)
        return Consensus.alone(codes, len(told.names))
    first = _first_answers(told, votes)
    return consensus(
        told.rows[first],
        told.annotators[first],
        told.codes[first],
        len(votes.classes),
        len(told.names),
    )


def _first_answers(told: _Told, votes: Votes) -> NDArray[np.int64]:
    """Return the first answer of each annotator to each row; refuse a later one that differs."""
    keys = told.rows * max(len(told.names), 1) + told.annotators
    _, first, of_key = np.unique(keys, return_index=True, return_inverse=True)
    before = told.codes[first[of_key.ravel()]]
    differing = np.flatnonzero(before != told.codes)
    if len(differing):
        later = differing[0]
        who = repr(told.names[told.annotators[later]]) if told.names else "gold"
        row_id = votes.row_ids[int(told.rows[later])]
        raise LabelError(
            f"{who} labels row {row_id!r} as {votes.classes[before[later]]!r} "
            f"and as {votes.classes[told.codes[later]]!r}",
            fix="settle it, or leave the row out",
        )
    return np.asarray(first)


def _stands_for(matrix: NDArray[np.integer], everything: Iterable[Votes]) -> NDArray[np.float64]:
    """Return how many rows each gold row stands for, in those that the mean one does: float64[g].

    These are the rows with the same votes, shared among the gold rows that have them.

    Args:
        matrix: int[g, m], the votes on the gold rows.
        everything: the votes on all rows.
    """
    from gristmill.label.matrices import hash_rows

    kinds, of_row, told = np.unique(hash_rows(matrix), return_inverse=True, return_counts=True)
    there = np.zeros(len(kinds), np.int64)
    for votes in everything:
        keys = hash_rows(votes.matrix)
        place = np.minimum(np.searchsorted(kinds, keys), len(kinds) - 1)
        there += np.bincount(place[kinds[place] == keys], minlength=len(kinds))
    stands = (there / told)[of_row.ravel()]
    return np.asarray(np.clip(stands / stands.mean(), _LEAST, _MOST))
