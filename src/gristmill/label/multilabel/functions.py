"""Functions that name the labels of a row."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import overload

from gristmill.core.errors import LabelError
from gristmill.core.fingerprint import fingerprint
from gristmill.core.progress import track
from gristmill.data.table import ROW_ID, TableLike, as_table
from gristmill.label.functions.rows import Row, cells_of, rows_of
from gristmill.label.multilabel.multilabel_votes import Answer, MultiLabelVotes


class MultiLabelFunction:
    """A source with a name that answers with labels, made by `@multilabel_function`.

    Attributes:
        name: unique among the functions applied together.
        closed: whether it says "no" to the labels that it leaves out.
    """

    def __init__(self, name: str, function: Callable[[Row], Answer], *, closed: bool = False):
        if not name.strip() or name == "<lambda>":
            raise LabelError("a multi-label function needs a name", fix="pass name=")
        self.name, self.function, self.closed = name, function, closed

    def __call__(self, row: Row) -> Answer:
        """Return the labels of a row."""
        return self.function(row)

    def __fingerprint__(self) -> str:
        from gristmill.core.code import fingerprint_callable

        return fingerprint([fingerprint_callable(self.function), self.closed])

    def __repr__(self) -> str:
        return f"MultiLabelFunction({self.name!r}, closed={self.closed})"


@overload
def multilabel_function(function: Callable[[Row], Answer]) -> MultiLabelFunction: ...


@overload
def multilabel_function(
    *, name: str | None = None, closed: bool = False
) -> Callable[[Callable[[Row], Answer]], MultiLabelFunction]: ...


def multilabel_function(
    function: Callable[[Row], Answer] | None = None,
    *,
    name: str | None = None,
    closed: bool = False,
) -> MultiLabelFunction | Callable[[Callable[[Row], Answer]], MultiLabelFunction]:
    """Make a multi-label source of a function of a row; use bare or with arguments.

    ```
    @multilabel_function
    def topics(row):
        return [word for word in ("sport", "money") if word in row.text]
    ```

    It returns the names of labels that the row has, or label -> True or False, or None to abstain.

    Args:
        function: of a `Row`.
        name: default is the function's own.
        closed: whether labels that it leaves out get a "no".
    """

    def decorate(wrapped: Callable[[Row], Answer]) -> MultiLabelFunction:
        return MultiLabelFunction(name or wrapped.__name__, wrapped, closed=closed)

    return decorate if function is None else decorate(function)


def apply_multilabel(
    functions: Sequence[MultiLabelFunction], table: TableLike, *, labels: Sequence[str]
) -> MultiLabelVotes:
    """Ask every function about every row; rows keep their order and ids.

    Raises:
        LabelError: no functions, names not unique, a function raised, or named no label. The
            message names function and row.
        DataError: the table cannot be used.
    """
    given: Sequence[object] = functions
    stranger = next((each for each in given if not isinstance(each, MultiLabelFunction)), None)
    if stranger is not None:
        raise LabelError(
            f"expected multi-label functions, found {type(stranger).__name__} {stranger!r}",
            fix="decorate it with @multilabel_function",
        )
    names = [function.name for function in functions]
    if not functions or len(set(names)) < len(names):
        raise LabelError(f"expected multi-label functions of different names, found {names}")
    frame = as_table(table)
    rows = rows_of(cells_of(frame))
    return MultiLabelVotes.of(
        labels,
        {
            function.name: [_answer(function, row) for row in rows]
            for function in track(functions, "label", len(functions), "functions")
        },
        row_ids=frame[ROW_ID],
        closed=[function.name for function in functions if function.closed],
        fingerprints={function.name: fingerprint(function) for function in functions},
    )


def _answer(function: MultiLabelFunction, row: Row) -> Answer:
    try:
        return function(row)
    except Exception as error:
        raise LabelError(
            f"raised {type(error).__name__}: {error}",
            where=f"multi-label function {function.name!r}, row {row[ROW_ID]!r}",
        ) from error
