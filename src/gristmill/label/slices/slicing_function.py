"""Slicing functions: rules that say whether a row belongs to a named set of rows."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, overload

import numpy as np
from numpy.typing import NDArray

from gristmill.core.errors import LabelError
from gristmill.data.table import ROW_ID, TableLike, as_table
from gristmill.label.functions.application import apply
from gristmill.label.functions.function import Kind, LabelingFunction
from gristmill.label.functions.preprocess import Preprocessor

if TYPE_CHECKING:
    import polars as pl

OVERALL = "overall"
_MEMBER = 1


class SlicingFunction:
    """A rule with a name, made by `@slicing_function`.

    Attributes:
        name: of the slice.
        kind: "row", "batch" or "expression", as of a labelling function.
        rule: the labelling function that votes 1 on members and abstains on all other rows.
    """

    def __init__(self, test: LabelingFunction) -> None:
        if test.name == OVERALL or test.name == ROW_ID:
            raise LabelError(f"a slice cannot be called {test.name!r}", fix="pass name=")
        self.name = test.name
        self.kind = test.kind
        self._test = test
        self.rule = LabelingFunction(
            test.name,
            _ADAPTERS[test.kind],
            kind=test.kind,
            resources={"test": test},
            pre=test.pre,
        )

    def __call__(self, *args: object) -> Any:
        """Call the function itself, with its resources."""
        return self._test(*args)

    def __fingerprint__(self) -> str:
        return self.rule.__fingerprint__()

    def __repr__(self) -> str:
        return f"SlicingFunction({self.name!r}, kind={self.kind!r})"


@overload
def slicing_function(function: Callable[..., object]) -> SlicingFunction: ...


@overload
def slicing_function(
    *,
    name: str | None = None,
    kind: Kind | None = None,
    resources: Mapping[str, object] | None = None,
    pre: Sequence[Preprocessor] = (),
    version: str | None = None,
) -> Callable[[Callable[..., object]], SlicingFunction]: ...


def slicing_function(
    function: Callable[..., object] | None = None,
    *,
    name: str | None = None,
    kind: Kind | None = None,
    resources: Mapping[str, object] | None = None,
    pre: Sequence[Preprocessor] = (),
    version: str | None = None,
) -> SlicingFunction | Callable[[Callable[..., object]], SlicingFunction]:
    """Make a slicing function of a Python function; use bare or with arguments.

    ```
    @slicing_function
    def shouting(row):
        return row.text.isupper()

    @slicing_function
    def long():
        return pl.col("text").str.len_chars() > 300
    ```

    It answers True or False for a row; an expression may also be null, which is no member. The
    arguments are those of `labeling_function`.

    Raises:
        LabelError: an argument does not fit the function, or the slice is called "overall".
    """

    def decorate(wrapped: Callable[..., object]) -> SlicingFunction:
        test = LabelingFunction(
            name or wrapped.__name__,
            wrapped,
            kind=kind,
            resources=resources,
            pre=pre,
            version=version,
        )
        return SlicingFunction(test)

    return decorate if function is None else decorate(function)


def slice_members(functions: Iterable[SlicingFunction], table: TableLike) -> pl.DataFrame:
    """Return which rows belong to which slice.

    Args:
        functions: with unique names.
        table: a data frame of any kind, or a path.

    Returns:
        Polars frame: `row_id`, and a column of bool for each slice, in the order of the table.

    Raises:
        LabelError: no functions, names not unique, or a function raised or answered neither True
            nor False; the message names function and row.
    """
    import polars as pl

    chosen: list[Any] = list(functions)
    strangers = [each for each in chosen if not isinstance(each, SlicingFunction)]
    if strangers:
        raise LabelError(
            f"expected slicing functions, found {type(strangers[0]).__name__} {strangers[0]!r}",
            fix="decorate it with @slicing_function",
        )
    names = [each.name for each in chosen]
    twin = next((name for name in names if names.count(name) > 1), None)
    if twin is not None:
        raise LabelError(f"two slices are called {twin!r}", fix="give one of them name='...'")
    frame = as_table(table)
    if not chosen:
        raise LabelError("no slicing functions", fix="decorate some with @slicing_function")
    answers = _answers(chosen, frame) == _MEMBER
    return pl.DataFrame({ROW_ID: frame[ROW_ID]} | dict(zip(names, answers.T, strict=True)))


def _answers(functions: Sequence[SlicingFunction], frame: pl.DataFrame) -> NDArray[np.integer]:
    try:
        rules = [each.rule for each in functions]
        return apply(rules, frame, classes=2, engine="inline").matrix  # they need no module
    except LabelError as error:
        # Whoever wrote a slicing function knows nothing of the labelling function within it.
        if error.where is not None:
            error.where = error.where.replace("labelling function", "slicing function", 1)
        if error.fix is not None and "on_error" in error.fix:
            error.fix = "answer True or False for every row"
        raise


def _of_row(row: object, test: LabelingFunction) -> int | None:
    return _MEMBER if _checked(test(row)) else None


def _of_batch(frame: pl.DataFrame, test: LabelingFunction) -> list[int | None]:
    return [_MEMBER if _checked(value) else None for value in test(frame)]


def _of_expression(test: LabelingFunction) -> pl.Expr:
    import polars as pl

    return pl.when(test()).then(pl.lit(_MEMBER))


_ADAPTERS: dict[Kind, Callable[..., object]] = {
    "row": _of_row,
    "batch": _of_batch,
    "expression": _of_expression,
}


def _checked(value: object) -> bool:
    if not isinstance(value, bool | np.bool_):
        # Whoever calls the function names it and the row.
        raise TypeError(f"answered {value!r}; a slicing function answers True or False")
    return bool(value)
