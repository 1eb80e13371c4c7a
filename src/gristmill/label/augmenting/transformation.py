"""Transformation functions: rules that change a row without changing its class."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Sequence
from typing import Any, Literal, TypeAlias, cast, overload

from gristmill.core.errors import LabelError
from gristmill.core.fingerprint import fingerprint
from gristmill.label.functions.preprocess import Preprocessor

Kind: TypeAlias = Literal["row", "batch"]

KINDS: tuple[Kind, ...] = ("row", "batch")
RNG = "rng"
"""A parameter of this name is handed a `numpy.random.Generator`."""


class TransformationFunction:
    """A rule with a name, made by `@transformation_function`.

    Attributes:
        name: unique among the functions applied together.
        kind: "row" (called with one `Row`, returns the fields to change or None) or "batch" (called
            with a Polars frame, returns a frame of `row_id` and the columns to change; rows that
            it leaves out are as if None was returned for them).
        pre: preprocessors whose fields the row has.
        draws: whether it takes a generator as `rng`.
    """

    def __init__(
        self,
        name: str,
        function: Callable[..., object],
        *,
        kind: Kind = "row",
        pre: Sequence[Preprocessor] = (),
    ) -> None:
        self.name = name
        self.function = function
        self.kind: Kind = kind
        self.pre = tuple(pre)
        self.draws = RNG in inspect.signature(function).parameters
        _check(self)

    def __call__(self, *args: object, **kwargs: object) -> Any:
        """Call the function itself."""
        return self.function(*args, **kwargs)

    def __fingerprint__(self) -> str:
        from gristmill.core.code import fingerprint_callable

        return fingerprint([self.kind, fingerprint_callable(self.function), list(self.pre)])

    def __repr__(self) -> str:
        return f"TransformationFunction({self.name!r}, kind={self.kind!r})"


@overload
def transformation_function(function: Callable[..., object]) -> TransformationFunction: ...


@overload
def transformation_function(
    *, name: str | None = None, kind: Kind = "row", pre: Sequence[Preprocessor] = ()
) -> Callable[[Callable[..., object]], TransformationFunction]: ...


def transformation_function(
    function: Callable[..., object] | None = None,
    *,
    name: str | None = None,
    kind: Kind = "row",
    pre: Sequence[Preprocessor] = (),
) -> TransformationFunction | Callable[[Callable[..., object]], TransformationFunction]:
    """Make a transformation function of a Python function; use bare or with arguments.

    ```
    @transformation_function
    def without_a_word(row, rng):
        words = row.text.split()
        if len(words) < 4:
            return None
        del words[rng.integers(len(words))]
        return {"text": " ".join(words)}

    @transformation_function(kind="batch")
    def shouted(frame):
        return frame.select("row_id", pl.col("text").str.to_uppercase())
    ```

    What it returns must depend on the row and on `rng` alone; a generator of that name comes seeded
    for the row (for the whole batch, in a function of a batch).

    Args:
        function: what is decorated.
        name: default is the function's own name.
        kind: "row" or "batch".
        pre: preprocessors whose fields a function of a row needs.

    Raises:
        LabelError: an argument is of a kind that does not exist, or does not fit the function.
    """

    def decorate(wrapped: Callable[..., object]) -> TransformationFunction:
        made = TransformationFunction(name or wrapped.__name__, wrapped, kind=kind, pre=pre)
        functools.update_wrapper(cast("Any", made), wrapped)
        return made

    return decorate if function is None else decorate(function)


def _check(function: TransformationFunction) -> None:
    where = f"transformation function {function.name!r}"
    if not function.name.strip() or function.name == "<lambda>":
        raise LabelError("a transformation function needs a name", where=where, fix="pass name=")
    if function.kind not in KINDS:
        raise LabelError(
            f"expected a kind out of {', '.join(KINDS)}, found {function.kind!r}", where=where
        )
    if function.pre and function.kind != "row":
        raise LabelError("preprocessors are for functions of a row", where=where)
