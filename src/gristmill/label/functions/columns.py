"""One partition's votes of one labelling function, whatever its kind."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
from numpy.typing import NDArray

from gristmill.core.errors import LabelError
from gristmill.data.table import ROW_ID
from gristmill.label.codes import BadVoteError, VoteCodes
from gristmill.label.functions.function import LabelingFunction, OnError
from gristmill.label.functions.preprocess import PreprocessedRow
from gristmill.label.functions.rows import Row, rows_of
from gristmill.label.vote import ABSTAIN

if TYPE_CHECKING:
    import polars as pl

_SHOWN_CHARACTERS = 200
_ISOLATING_CALLS = 200

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
        rows = rows_of(frame)
        shared = [PreprocessedRow(row) for row in rows]
        return [self._column(index, rows, shared) for index in wanted]

    def _column(self, index: int, rows: list[Row], shared: list[PreprocessedRow]) -> Column:
        function, policy = self.functions[index], self.policies[index]
        call, pre, encode = _bound(function), function.pre, self.codes.encode
        codes = np.full(len(rows), ABSTAIN, self.codes.dtype)
        failures: list[tuple[int, str]] = []
        for position, row in enumerate(rows):
            try:
                vote = call(shared[position].view(pre) if pre else row)
            except LabelError:
                raise  # a preprocessor that cannot be used is no matter of one row
            except (Exception, SystemExit) as error:
                if policy == "raise":
                    raise stopped(function, row[ROW_ID], error, row) from error
                failures.append((position, said(error)))
                continue
            try:
                codes[position] = encode(vote)
            except (ValueError, TypeError):
                raise self.codes.refusal(function.name, row[ROW_ID], vote) from None
        return Column(codes, failures)


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
        raise stopped(function, f"{frame[ROW_ID][0]} to {frame[ROW_ID][-1]}", error) from error


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
    function: LabelingFunction, row_id: object, error: BaseException | str, row: Row | None = None
) -> LabelError:
    """Return the error for a function that raised and must not."""
    value = f" on {_short(repr(dict(row)))}" if row is not None else ""
    return LabelError(
        f"raised {error if isinstance(error, str) else said(error)}{value}",
        where=f"labelling function {function.name!r}, row {row_id!r}",
        fix="handle that case in the function, or say on_error='abstain' to count it and go on",
    )


def said(error: BaseException) -> str:
    """Return an exception's kind and the first line of what it says."""
    first = str(error).partition("\n")[0]
    return _short(f"{type(error).__name__}: {first}" if first else type(error).__name__)


def _bound(function: LabelingFunction) -> Callable[[Row], object]:
    """Skip the wrapper where there are no resources: it is called once per row."""
    return function if function.resources else function.function


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
