"""Preprocessors: what several labelling functions need of a row, worked out once."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, overload

from gristmill.core.errors import LabelError
from gristmill.core.fingerprint import fingerprint

if TYPE_CHECKING:
    from gristmill.label.functions.rows import Row


class Preprocessor:
    """A function of a row that returns a mapping of new fields.

    It sees the row's columns and the fields of the preprocessors in its own `pre`, nothing else, so
    its result depends on the row alone and is computed once, however many labelling functions
    share it. (Snorkel: a memoised `Mapper`.)

    Attributes:
        name: how messages call it.
        pre: preprocessors whose fields it needs.
    """

    def __init__(
        self, function: Callable[..., Mapping[str, object]], pre: Sequence[Preprocessor] = ()
    ) -> None:
        self.name: str = function.__name__
        self.pre = tuple(pre)
        self.__wrapped__ = function
        functools.update_wrapper(self, function)

    def __call__(self, row: Row) -> Mapping[str, object]:
        """Call the function itself on a row that has all that it needs.

        Raises:
            LabelError: it did not return a mapping.
        """
        fields: object = self.__wrapped__(row)
        if not isinstance(fields, Mapping):
            kind = type(fields).__name__
            raise LabelError(f"preprocessor {self.name!r} must return a mapping, found {kind}")
        return fields

    def __fingerprint__(self) -> str:
        from gristmill.core.code import fingerprint_callable

        return fingerprint([fingerprint_callable(self.__wrapped__), list(self.pre)])

    def __repr__(self) -> str:
        return f"Preprocessor({self.name!r})"

    def __reduce__(self) -> str | tuple[object, ...]:
        return importable_name(self) or (Preprocessor, (self.__wrapped__, self.pre))


def importable_name(decorated: object) -> str | None:
    """Return the global name under which a decorated function can be imported, if there is one.

    It hides the plain function, so it travels to other processes by this name.
    """
    home = sys.modules.get(getattr(decorated, "__module__", ""))
    name = getattr(decorated, "__name__", "")
    return str(name) if getattr(home, name, None) is decorated else None


@overload
def preprocessor(function: Callable[..., Mapping[str, object]]) -> Preprocessor: ...


@overload
def preprocessor(
    *, pre: Sequence[Preprocessor] = ()
) -> Callable[[Callable[..., Mapping[str, object]]], Preprocessor]: ...


def preprocessor(
    function: Callable[..., Mapping[str, object]] | None = None, *, pre: Sequence[Preprocessor] = ()
) -> Preprocessor | Callable[[Callable[..., Mapping[str, object]]], Preprocessor]:
    """Make a `Preprocessor` of a function; use bare, or with `pre=[other, ...]`.

    ```
    @preprocessor
    def tokens(row):
        return {"tokens": row.text.lower().split()}

    @labeling_function(pre=[tokens])
    def long(row):
        return "ham" if len(row.tokens) > 40 else None
    ```
    """
    if function is not None:
        return Preprocessor(function, pre)
    return functools.partial(Preprocessor, pre=pre)
