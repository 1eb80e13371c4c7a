"""From what a labelling function answers to the number that is stored."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from typing import TYPE_CHECKING

import msgspec
import numpy as np
from numpy.typing import NDArray

from gristmill.core.errors import LabelError
from gristmill.label.vote import ABSTAIN

if TYPE_CHECKING:
    import polars as pl

_MOST_CLASSES = 32_767
_PLAIN = frozenset({int, str, type(None)})
_PLAIN_LIST = list[int | str | None]


class BadVoteError(ValueError):
    """A vote that is no class; `position` is the row's place in its partition."""

    def __init__(self, position: int, value: object) -> None:
        super().__init__(f"row {position} of the partition: {value!r}")
        self.position = position
        self.value = value


def check_classes(classes: Sequence[str] | int) -> tuple[str, ...]:
    """Return class names, in order of their index; a number k stands for "0" to "k-1".

    Raises:
        LabelError: fewer than two classes, or two of one name.
    """
    names = tuple(map(str, range(classes) if isinstance(classes, int) else classes))
    if isinstance(classes, str):
        raise LabelError(f"expected a list of classes, found the text {classes!r}")
    if len(names) < 2:
        raise LabelError(
            f"expected at least two classes, found {len(names)}: {list(names)}",
            fix="name every class, also those that no function votes for",
        )
    if len(set(names)) < len(names):
        twin = next(name for name in names if names.count(name) > 1)
        raise LabelError(f"class {twin!r} is named twice in {list(names)}")
    if len(names) > _MOST_CLASSES:
        raise LabelError(f"expected at most {_MOST_CLASSES} classes, found {len(names)}")
    return names


def vote_dtype(classes: int) -> type[np.int8] | type[np.int16]:
    """Return int8, or int16 where there are more than 127 classes."""
    return np.int8 if classes <= np.iinfo(np.int8).max else np.int16


def describe_classes(classes: Sequence[str]) -> str:
    """Print the classes for a message: `0 'ham', 1 'spam'`; long lists are cut."""
    shown = ", ".join(f"{index} {name!r}" for index, name in enumerate(classes[:8]))
    return shown if len(classes) <= 8 else f"{shown}, ... {len(classes) - 1} {classes[-1]!r}"


class VoteCodes:
    """Turns votes into codes: class index or name -> 0..k-1, None or -1 -> -1."""

    def __init__(self, classes: Sequence[str]) -> None:
        self.classes = tuple(classes)
        self.dtype = vote_dtype(len(classes))
        self._codes: dict[object, int] = {None: ABSTAIN, ABSTAIN: ABSTAIN}
        self._codes |= {index: index for index in range(len(classes))}
        self._codes |= {name: index for index, name in enumerate(classes)}

    def encode(self, value: object) -> int:
        """Return the code of one vote.

        Raises:
            ValueError: not a vote. A boolean is none: `return "win" in row.text` would vote for
                class 0 where it means to abstain.
        """
        if type(value) not in _PLAIN:
            value = _plain(value)
        code = self._codes.get(value)
        if code is None:
            raise ValueError(value)
        return code

    def encode_all(self, values: Sequence[object] | NDArray[np.generic]) -> NDArray[np.integer]:
        """Return the codes of the votes for the rows of a partition, int8[n] (int16 above 127).

        Raises:
            BadVoteError: one of them is no vote.
        """
        column = _as_series(values)
        return self._encode_each(values) if column is None else self.encode_series(column)

    def _encode_each(self, values: Sequence[object] | NDArray[np.generic]) -> NDArray[np.integer]:
        codes = np.empty(len(values), self.dtype)
        for position, value in enumerate(values):
            try:
                codes[position] = self.encode(value)
            except ValueError:
                raise BadVoteError(position, value) from None
        return codes

    def encode_series(self, votes: pl.Series) -> NDArray[np.integer]:
        """Return the codes of a Polars column of class indexes or names, null to abstain."""
        import polars as pl

        if votes.dtype.is_integer():
            return self._encode_integers(votes)
        if votes.dtype == pl.String or votes.dtype == pl.Categorical:
            return self._encode_names(votes.cast(pl.String))
        return self._encode_each(votes.to_list())

    def _encode_integers(self, votes: pl.Series) -> NDArray[np.integer]:
        numbers = votes.to_numpy()
        if numbers.dtype.kind == "f":  # there are nulls; `fill_null` would start a query
            numbers = np.where(np.isnan(numbers), ABSTAIN, numbers)
        if numbers.size and not -1 <= numbers.min() <= numbers.max() < len(self.classes):
            wrong = (numbers < ABSTAIN) | (numbers >= len(self.classes))
            position = int(wrong.argmax())
            raise BadVoteError(position, votes[position])
        return numbers.astype(self.dtype)

    def _encode_names(self, votes: pl.Series) -> NDArray[np.integer]:
        import polars as pl

        known = votes.cast(pl.Enum(self.classes), strict=False)
        if known.null_count() > votes.null_count():
            position = int((known.is_null() & votes.is_not_null()).arg_max() or 0)
            raise BadVoteError(position, votes[position])
        return self._encode_integers(known.to_physical())

    def refusal(self, name: str, row_id: object, value: object) -> LabelError:
        """Return the error for a vote that is no class."""
        fix = None
        if isinstance(value, bool | np.bool_):
            fix = "return a class where the rule holds and None where it does not"
        return LabelError(
            f"voted {value!r}; expected one of the classes {describe_classes(self.classes)}, "
            "or None to abstain",
            where=f"labelling function {name!r}, row {row_id!r}",
            fix=fix,
        )


def _plain(value: object) -> object:
    """Return NumPy's integers, and floats that are whole, as int; refuse all else."""
    if isinstance(value, np.integer):
        return int(value)
    if isinstance(value, np.str_):
        return str(value)
    if isinstance(value, float | np.floating) and float(value).is_integer():
        return int(value)
    raise ValueError(value)


def _as_series(values: object) -> pl.Series | None:
    """Return votes that are all indexes, or all names, as a column; None for a mixture.

    The kinds of the votes are asked first: Polars would take True for 1.
    """
    import polars as pl

    if isinstance(values, np.ndarray):
        return pl.Series(values) if values.ndim == 1 and values.dtype.kind in "iu" else None
    try:
        plain = msgspec.convert(values, _PLAIN_LIST)
    except msgspec.ValidationError:
        return None
    for kind in (pl.Int64, pl.String):
        with contextlib.suppress(TypeError, OverflowError):  # of another kind, or both kinds
            return pl.Series(plain, dtype=kind, strict=True)
    return None
