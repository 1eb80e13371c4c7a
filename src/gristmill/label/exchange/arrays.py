"""Label matrices in NumPy files: `L_train`, `Y_train` and so on, as Snorkel users keep them."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gristmill.core.atomic import atomic_file
from gristmill.core.errors import LabelError
from gristmill.label.gold import Gold, gold_codes
from gristmill.label.votes import Votes

_VOTES, _GOLD = "L_", "Y_"


@dataclass(frozen=True, eq=False)
class MatrixSplit:
    """Votes, and gold as row id -> class index for the rows that have one (ids are 0..n-1)."""

    votes: Votes
    gold: dict[int, int]


def read_npz(
    path: Path | str, *, classes: Sequence[str] | int | None = None
) -> dict[str, MatrixSplit]:
    """Read `L_<split>` (int[n, m], -1 abstain) and, where there, `Y_<split>` (int[n], -1 unknown).

    Floating-point numbers that are whole are taken as integers; pickled objects are refused.

    Args:
        path: a `.npz` file.
        classes: names or number; default is as many as the largest number in the file says.

    Raises:
        LabelError: no such file, no `L_` array in it, or an array that is not of that kind.
    """
    arrays = _arrays(Path(path))
    splits = [name.removeprefix(_VOTES) for name in arrays if name.startswith(_VOTES)]
    if not splits:
        raise LabelError(
            f"expected arrays called {_VOTES}train or the like, found {list(arrays)}",
            where=str(path),
        )
    known = classes if classes is not None else _classes(arrays)
    return {name: _split(arrays, name, known, f"{path}, {_VOTES}{name}") for name in splits}


def write_npz(path: Path | str, splits: Mapping[str, tuple[Votes, Gold | None]]) -> None:
    """Write votes as `L_<split>` (int64[n, m]) and gold as `Y_<split>` (int64[n], -1 unknown).

    Names of classes and sources, and row ids, have no place in this format.

    Raises:
        LabelError: gold does not fit the votes.
    """
    arrays: dict[str, NDArray[np.int64]] = {}
    for name, (votes, gold) in splits.items():
        arrays[_VOTES + name] = votes.matrix.astype(np.int64)
        if gold is not None:
            arrays[_GOLD + name] = gold_codes(gold, votes)
    with atomic_file(Path(path)) as draft, draft.open("wb") as file:
        np.savez_compressed(file, allow_pickle=False, **arrays)


def _arrays(path: Path) -> dict[str, NDArray[np.int64]]:
    try:
        stored = np.load(path, allow_pickle=False)
        if isinstance(stored, np.ndarray):
            raise ValueError("a single array, no .npz file")  # noqa: TRY004, TRY301
        with stored:
            wanted = [name for name in stored.files if name[:2] in (_VOTES, _GOLD)]
            arrays = {name: stored[name] for name in wanted}
    except OSError as error:
        raise LabelError(
            f"this file cannot be read: {error.strerror or error}", where=str(path)
        ) from error
    except (ValueError, EOFError, zipfile.BadZipFile) as error:
        # What numpy says of other files advises to unpickle them.
        raise LabelError(
            "expected an .npz file of arrays of numbers, found something else",
            where=str(path),
            fix="write it with write_npz(...) or numpy.savez(path, L_train=..., Y_train=...)",
        ) from error
    return {name: _whole(array, f"{path}, {name}") for name, array in arrays.items()}


def _whole(array: NDArray[Any], where: str) -> NDArray[np.int64]:
    if array.dtype.kind == "f" and (np.isfinite(array) & (array == np.round(array))).all():
        return array.astype(np.int64)
    if array.dtype.kind not in "iu":
        raise LabelError(f"expected whole numbers, found {array.dtype}", where=where)
    return array.astype(np.int64)


def _classes(arrays: Mapping[str, NDArray[np.int64]]) -> int:
    return max(2, 1 + max(int(array.max(initial=-1)) for array in arrays.values()))


def _split(
    arrays: Mapping[str, NDArray[np.int64]], name: str, classes: Sequence[str] | int, where: str
) -> MatrixSplit:
    try:
        votes = Votes.from_matrix(arrays[_VOTES + name], classes=classes)
        gold = _gold(arrays.get(_GOLD + name, np.full(len(votes), -1)), votes)
    except LabelError as error:
        place = f"{where}, {error.where}" if error.where else where
        raise LabelError(error.message, where=place, fix=error.fix) from None
    return MatrixSplit(votes, gold)


def _gold(truth: NDArray[np.int64], votes: Votes) -> dict[int, int]:
    if truth.shape != (len(votes),):
        raise LabelError(f"expected {len(votes)} gold labels, found {list(truth.shape)}")
    gold = {row: int(label) for row, label in enumerate(truth.tolist()) if label != -1}
    gold_codes(gold, votes)
    return gold
