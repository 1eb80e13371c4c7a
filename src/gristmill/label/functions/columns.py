"""One partition's votes of one labelling function, whatever its kind."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import FunctionType
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
from numpy.typing import NDArray

from gristmill.core.errors import LabelError
from gristmill.data.table import ROW_ID
from gristmill.label.codes import BadVoteError, VoteCodes
from gristmill.label.functions.function import LabelingFunction, OnError
from gristmill.label.functions.preprocessed import PreprocessedRows
from gristmill.label.functions.rows import Row, TableRow, cells_of, no_column
from gristmill.label.vote import ABSTAIN

if TYPE_CHECKING:
    import polars as pl

_SHOWN_CHARACTERS = 200
_ISOLATING_CALLS = 200
_BLOCK_ROWS = 8192
_OPEN_SIGNATURE = inspect.CO_VARARGS | inspect.CO_VARKEYWORDS

Evaluate: TypeAlias = "Callable[[pl.DataFrame], NDArray[np.integer]]"


@dataclass(frozen=True, slots=True)
class Column:
    """Votes of one function on one partition.

    Attributes:
        codes: int8[rows] (int16 above 127 classes), -1 also where the function failed.
        failures: (position in the partition, message) of each row on which it raised.
    """

    codes: NDArray[np.integer]
    failures: Sequence[tuple[int, str]] = ()


@dataclass(frozen=True)
class RowVoter:
    """Runs functions of a row over partitions; travels to the engine's workers."""

    functions: Mapping[int, LabelingFunction]
    policies: Mapping[int, OnError]
    codes: VoteCodes

    def __call__(self, part: tuple[pl.DataFrame, tuple[int, ...]]) -> list[Column]:
        """Return the columns of the functions with the given keys, in that order.

        Raises:
            LabelError: a function raised and its policy is to stop, or voted for no class.
        """
        frame, wanted = part
        pieces: dict[int, list[Column]] = {index: [] for index in wanted}
        for start in range(0, frame.height, _BLOCK_ROWS):
            block = frame.slice(start, _BLOCK_ROWS)
            rows = PreprocessedRows(cells_of(block))
            for index in wanted:
                pieces[index].append(self._column(index, block, rows))
        return [_joined(pieces[index], self.codes) for index in wanted]

    def _column(self, index: int, block: pl.DataFrame, rows: PreprocessedRows) -> Column:
        function, policy = self.functions[index], self.policies[index]
        failures: list[tuple[int, str]] = []

        def failed(position: int, error: BaseException) -> None:
            if policy == "raise":
                row = rows.rows[position]
                raise stopped(function.name, row[ROW_ID], error, row) from error
            failures.append((position, said(error)))

        answers = rows.ask(bound(function.function, function.resources), function.pre, failed)
        try:
            return Column(self.codes.encode_all(answers), failures)
        except BadVoteError as bad:
            raise self.codes.refusal(
                function.name, block[ROW_ID][bad.position], bad.value
            ) from None


def bound(
    function: Callable[..., object], resources: Mapping[str, object]
) -> Callable[[Row], object]:
    """Return a function of a row alone, its resources being given.

    They become default values of a copy where that is possible: a `partial` takes as long as many
    a rule does.
    """
    if not resources:
        return function
    if not isinstance(function, FunctionType) or function.__code__.co_flags & _OPEN_SIGNATURE:
        return functools.partial(function, **resources)
    code, given = function.__code__, function.__defaults__ or ()
    positional = code.co_varnames[1 : code.co_argcount]
    named = code.co_varnames[code.co_argcount : code.co_argcount + code.co_kwonlyargcount]
    values = dict(zip(reversed(positional), reversed(given), strict=False))
    values |= {**(function.__kwdefaults__ or {}), **resources}
    known = {*positional, *named}
    if code.co_posonlyargcount > 1 or resources.keys() - known or known - values.keys():
        return functools.partial(function, **resources)
    defaults = tuple(values[name] for name in positional)
    copy = FunctionType(
        code, function.__globals__, function.__name__, defaults, function.__closure__
    )
    copy.__kwdefaults__ = {name: values[name] for name in named}
    return copy


def batch_column(
    function: LabelingFunction, policy: OnError, frame: pl.DataFrame, codes: VoteCodes
) -> Column:
    """Return the votes of a function of a batch on one partition.

    With the policy "abstain" a batch that raises is halved until the rows to blame stand alone.

    Raises:
        LabelError: it raised and the policy is to stop, voted for no class, or did not return one
            vote for each row.
    """

    def evaluate(part: pl.DataFrame) -> NDArray[np.integer]:
        return _batch_codes(function, part, codes)

    try:
        return around_failures(evaluate, frame) if policy == "abstain" else Column(evaluate(frame))
    except BadVoteError as bad:
        raise codes.refusal(function.name, frame[ROW_ID][bad.position], bad.value) from None
    except LabelError:
        raise
    except (Exception, SystemExit) as error:
        raise stopped(function.name, f"{frame[ROW_ID][0]} to {frame[ROW_ID][-1]}", error) from error


def around_failures(evaluate: Evaluate, frame: pl.DataFrame) -> Column:
    """Evaluate a frame, in ever smaller parts where it fails, so that few rows are lost.

    After 200 calls that failed, what still fails is given up as a whole.

    Raises:
        BadVoteError: a vote for no class, with its position in `frame`.
        LabelError: as raised by `evaluate`.
    """
    failures: list[tuple[int, str]] = []
    pieces: list[NDArray[np.integer]] = []
    waiting, failed = [(0, frame.height)], 0
    while waiting:
        start, rows = waiting.pop()
        try:
            pieces.append(evaluate(frame.slice(start, rows)))
        except BadVoteError as bad:
            raise BadVoteError(start + bad.position, bad.value) from None
        except LabelError:
            raise
        except (Exception, SystemExit) as error:
            failed += 1
            if rows > 1 and failed <= _ISOLATING_CALLS:
                half = rows // 2
                waiting += [(start + half, rows - half), (start, half)]
                continue
            failures += [(position, said(error)) for position in range(start, start + rows)]
            pieces.append(np.full(rows, ABSTAIN, np.int8))
    return Column(np.concatenate(pieces), failures)


def stopped(
    name: str, row_id: object, error: BaseException | str, row: Row | None = None
) -> LabelError:
    """Return the error for a function that raised and must not."""
    value = f" on {_short(repr(dict(row)))}" if row is not None else ""
    return LabelError(
        f"raised {error if isinstance(error, str) else said(error)}{value}",
        where=f"labelling function {name!r}, row {row_id!r}",
        fix="handle that case in the function, or say on_error='abstain' to count it and go on",
    )


def said(error: BaseException) -> str:
    """Return an exception's kind and the first line of what it says."""
    first = str(error).partition("\n")[0]
    if isinstance(error, AttributeError) and isinstance(error.obj, TableRow):
        first = no_column(error.obj, error.name)
    return _short(f"{type(error).__name__}: {first}" if first else type(error).__name__)


def _joined(pieces: Sequence[Column], codes: VoteCodes) -> Column:
    """Put the columns of consecutive blocks below one another."""
    if not pieces:
        return Column(np.empty(0, codes.dtype))
    starts = np.cumsum([0, *(len(piece.codes) for piece in pieces)])
    failures = [
        (int(start) + position, message)
        for start, piece in zip(starts, pieces, strict=False)
        for position, message in piece.failures
    ]
    return Column(np.concatenate([piece.codes for piece in pieces]), failures)


def _batch_codes(
    function: LabelingFunction, frame: pl.DataFrame, codes: VoteCodes
) -> NDArray[np.integer]:
    import polars as pl

    votes = function(frame)
    if isinstance(votes, str) or not hasattr(votes, "__len__") or len(votes) != frame.height:
        found = f"{len(votes)} votes" if hasattr(votes, "__len__") else type(votes).__name__
        raise LabelError(
            f"expected {frame.height} votes, one for each row of the batch, found {found}",
            where=f"labelling function {function.name!r}",
        )
    if isinstance(votes, pl.Series):
        return codes.encode_series(votes)
    return codes.encode_all(votes)


def _short(text: str) -> str:
    return text if len(text) <= _SHOWN_CHARACTERS else f"{text[: _SHOWN_CHARACTERS - 3]}..."
