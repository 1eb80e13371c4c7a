"""Plain arrays of votes, as other tools keep them: checked before they become `Votes`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gristmill.core.errors import LabelError
from gristmill.label.codes import check_classes, vote_dtype
from gristmill.label.vote import ABSTAIN

MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)  # 2^64 over the golden ratio, as in Knuth's hashing


def dense(matrix: ArrayLike) -> NDArray[np.integer]:
    """Return a matrix of votes as int[n, m]; floats will do where they are whole.

    Raises:
        LabelError: it is not two-dimensional, or not of whole numbers.
    """
    try:
        array = np.asarray(matrix)
    except ValueError as error:
        raise LabelError(f"expected rows of votes of one length: {error}") from error
    if array.ndim != 2 or array.shape[1] == 0:
        raise LabelError(f"expected votes of shape [rows, sources], found {array.shape}")
    return _integers(array)


def from_triples(
    rows: ArrayLike,
    sources: ArrayLike,
    votes: ArrayLike,
    shape: tuple[int, int],
    classes: Sequence[str] | int | None,
) -> tuple[NDArray[np.integer], tuple[str, ...]]:
    """Return the matrix of sparse votes, and the classes.

    Raises:
        LabelError: see `Votes.from_sparse`.
    """
    places = [np.asarray(each) for each in (rows, sources, votes)]
    if any(each.ndim != 1 or len(each) != len(places[0]) for each in places):
        found = ", ".join(str(each.shape) for each in places)
        raise LabelError(f"expected rows, sources and votes of one length, found shapes {found}")
    row, source, vote = map(_integers, places)
    _check_places(row, source, shape)
    known = known_classes(vote, classes)
    check_range(vote, known)
    matrix = np.full(shape, ABSTAIN, vote_dtype(len(known)), order="F")
    matrix[row, source] = vote
    return matrix, known


def known_classes(
    votes: NDArray[np.integer], classes: Sequence[str] | int | None
) -> tuple[str, ...]:
    """Return the class names; as many as the largest vote says, at least two, if none are given."""
    return check_classes(max(int(votes.max(initial=-1)) + 1, 2) if classes is None else classes)


def check_range(votes: NDArray[np.integer], classes: Sequence[str]) -> None:
    """Raise `LabelError` if a vote is neither -1 nor one of the classes."""
    wrong = (votes < ABSTAIN) | (votes >= len(classes))
    if wrong.any():
        place = _first(wrong)
        raise LabelError(
            f"found vote {int(votes[place])}; expected -1 to abstain or a class 0 to "
            f"{len(classes) - 1}",
            where=_where(place),
        )


def _integers(array: NDArray[np.generic]) -> NDArray[np.integer]:
    fix = "use -1 to abstain, not NaN"
    if np.issubdtype(array.dtype, np.integer):
        return cast("NDArray[np.integer]", array)
    if array.dtype.kind != "f" and array.size:
        raise LabelError(f"expected integer votes, found {array.dtype}", fix=fix)
    numbers = array.astype(np.float64)
    wrong = ~(np.isfinite(numbers) & (numbers == np.rint(numbers)))
    if wrong.any():
        place = _first(wrong)
        raise LabelError(
            f"expected integer votes, found {numbers[place]}", where=_where(place), fix=fix
        )
    return numbers.astype(np.int64)


def _check_places(
    rows: NDArray[np.integer], sources: NDArray[np.integer], shape: tuple[int, int]
) -> None:
    for name, places, size in (("row", rows, shape[0]), ("source", sources, shape[1])):
        wrong = (places < 0) | (places >= size)
        if wrong.any():
            place = _first(wrong)
            raise LabelError(
                f"expected {name} positions 0 to {size - 1}, found {int(places[place])}",
                where=_where(place),
            )
    cells = np.sort(rows.astype(np.int64) * shape[1] + sources)
    twice = np.flatnonzero(cells[1:] == cells[:-1])
    if len(twice):
        row, source = divmod(int(cells[twice[0]]), shape[1])
        raise LabelError(f"source {source} votes twice on row {row}")


def _first(wrong: NDArray[np.bool_]) -> tuple[int, ...]:
    return tuple(int(place) for place in np.argwhere(wrong)[0])


def _where(place: tuple[int, ...]) -> str:
    return f"row {place[0]}, source {place[1]}" if len(place) == 2 else f"vote {place[0]}"


def hash_rows(matrix: NDArray[np.integer]) -> NDArray[np.uint64]:
    """Return a hash of each row's votes, uint64[n]; equal rows have equal hashes."""
    mixed = np.full(len(matrix), MULTIPLIER)
    for column in matrix.T:
        mixed = (mixed ^ (column.astype(np.int64).view(np.uint64) + np.uint64(2))) * MULTIPLIER
        mixed ^= mixed >> np.uint64(29)
    return mixed
