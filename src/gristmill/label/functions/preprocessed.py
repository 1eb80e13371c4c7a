"""Rows with the results of preprocessors, worked out once for all that share them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar, cast

from gristmill.core.errors import LabelError
from gristmill.label.functions.preprocess import Preprocessor
from gristmill.label.functions.rows import Row, freeze, rows_of

T = TypeVar("T")
S = TypeVar("S")


@dataclass(frozen=True, slots=True)
class Unready:
    """Stands for a row, or a result, that a preprocessor failed to give."""

    error: BaseException


class PreprocessedRows:
    """Some rows, and the results of the preprocessors that were asked of them so far.

    Results are remembered by which preprocessor made them, not by the rows' values, so rows that
    hold NaN (which equals nothing) are computed once as any other. An exception is remembered too.

    Attributes:
        rows: the rows as the table has them.
    """

    def __init__(self, cells: Mapping[str, Sequence[object]]) -> None:
        self.rows = rows_of(cells)
        self._cells = cells
        self._results: dict[Preprocessor, list[Mapping[str, object] | Unready]] = {}
        self._views: dict[tuple[Preprocessor, ...], list[Row | Unready]] = {(): [*self.rows]}
        self._with_gaps: set[tuple[Preprocessor, ...]] = set()

    def ask(
        self,
        call: Callable[[Row], T],
        pre: tuple[Preprocessor, ...],
        failed: Callable[[int, BaseException], S],
    ) -> list[T | S]:
        """Return `call(row)` for each row with the fields of `pre`; see `ask_each`."""
        rows = self.view(pre)
        asked = _refusing(call) if pre in self._with_gaps else call
        return ask_each(asked, cast("list[Row]", rows), failed)

    def view(self, pre: tuple[Preprocessor, ...]) -> list[Row | Unready]:
        """Return the rows with the fields of `pre`, and of what they need themselves.

        A row on which one of them raised is `Unready`.

        Raises:
            LabelError: a preprocessor did not return a mapping, or two give the same field.
        """
        if pre not in self._views:
            found = [self._result(each) for each in _closure(pre)]
            owners = [each.name for each in _closure(pre)]
            fields = found[0] if len(found) == 1 else [
                _merged(of_row, owners) for of_row in zip(*found, strict=True)
            ]  # fmt: skip
            self._views[pre] = self._joined(pre, fields)
        return self._views[pre]

    def _result(self, each: Preprocessor) -> list[Mapping[str, object] | Unready]:
        if each not in self._results:
            answers = self.ask(each, each.pre, lambda _, error: Unready(error))
            self._results[each] = [_frozen(answer) for answer in answers]
        return self._results[each]

    def _joined(
        self,
        pre: tuple[Preprocessor, ...],
        fields: Sequence[Mapping[str, object] | Unready],
    ) -> list[Row | Unready]:
        """Return the rows with their fields: of one class where all have the same ones."""
        names = _common_names(fields)
        if any(type(each) is Unready for each in fields):
            self._with_gaps.add(pre)
        if names is None:
            return [
                each if isinstance(each, Unready) else row.with_fields(each)
                for row, each in zip(self.rows, fields, strict=True)
            ]
        values = zip(*(each.values() for each in fields), strict=True)  # type: ignore[union-attr]
        return [*rows_of({**self._cells, **dict(zip(names, values, strict=True))})]


def ask_each(
    call: Callable[[Row], T], rows: Sequence[Row], failed: Callable[[int, BaseException], S]
) -> list[T | S]:
    """Return `call(row)` for each row, and `failed(position, error)` where that raises.

    The loop is bare, since it runs millions of times: it is left and taken up again at a row that
    raises. (`map` would take a StopIteration of the function for the end of the rows.)

    Raises:
        LabelError: raised by the function itself: no matter of one row.
    """
    answers: list[T | S] = []
    waiting = iter(rows)
    while len(answers) < len(rows):
        try:
            for row in waiting:
                answers.append(call(row))  # noqa: PERF401 - a comprehension loses what it has
        except LabelError:
            raise
        except (Exception, SystemExit) as error:
            answers.append(failed(len(answers), error))
    return answers


def _refusing(call: Callable[[Row], T]) -> Callable[[Row], T]:
    """Let a function raise what its preprocessors raised, on rows that are not ready."""

    def asked(row: Row | Unready) -> T:
        if isinstance(row, Unready):
            raise row.error
        return call(row)

    return asked


def _frozen(answer: Mapping[str, object] | Unready) -> Mapping[str, object] | Unready:
    if isinstance(answer, Unready):
        return answer
    return {name: freeze(value) for name, value in answer.items()}


def _common_names(fields: Sequence[Mapping[str, object] | Unready]) -> tuple[str, ...] | None:
    """Return the names of the fields if they are the same on all rows, else None."""
    first = fields[0] if fields else {}
    if isinstance(first, Unready):
        return None
    names = tuple(first)
    for each in fields:
        if isinstance(each, Unready) or tuple(each) != names:
            return None
    return names if names and all(isinstance(name, str) for name in names) else None


def _merged(
    results: Sequence[Mapping[str, object] | Unready], owners: Sequence[str]
) -> Mapping[str, object] | Unready:
    fields: dict[str, object] = {}
    owner: dict[str, str] = {}
    for result, name in zip(results, owners, strict=True):
        if isinstance(result, Unready):
            return result
        for twin in fields.keys() & result.keys():
            raise LabelError(
                f"preprocessors {owner[twin]!r} and {name!r} both give the field {twin!r}",
                fix="rename the field in one of them",
            )
        fields |= result
        owner |= dict.fromkeys(result, name)
    return fields


def _closure(pre: Iterable[Preprocessor]) -> list[Preprocessor]:
    """Return `pre` and all that they need, each once, needed ones first."""
    found: dict[int, Preprocessor] = {}

    def visit(each: Preprocessor) -> None:
        for needed in each.pre:
            visit(needed)
        found.setdefault(id(each), each)

    for each in pre:
        visit(each)
    return list(found.values())
