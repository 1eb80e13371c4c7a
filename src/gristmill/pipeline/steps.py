"""`@step`: a function whose parameters name the steps that it needs."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from typing import Any, Generic, ParamSpec, TypeVar, overload

from gristmill.core.errors import UsageError

P = ParamSpec("P")
R = TypeVar("R")


class Step(Generic[P, R]):
    """A function that a pipeline can run, cache and trace.

    A parameter without a default names the step whose result it receives; a parameter with one is a
    setting. Calling the step calls the function: in a test or a notebook it is just that.

    Attributes:
        name: the step's name: the function's.
        needs: names of the steps whose results it takes, in order.
        settings: name -> default of each setting.
        each: the step whose result it is called with element by element; empty for a step that is
            called once.
        element: the parameter that receives the element.
        whole: names of the steps whose results it takes whole.
        rows: how many rows of a table are one element; None for 65,536.
    """

    def __init__(
        self, function: Callable[P, R], name: str = "", each: str = "", rows: int | None = None
    ) -> None:
        functools.update_wrapper(self, function)
        self.function = function
        self.name = name or function.__name__
        self.each, self.rows, self.element = each, rows, ""
        self.whole, self.settings = _split_parameters(function, self.name)
        if rows is not None and rows < 1:
            raise UsageError(f"step {self.name!r}: expected at least 1 row, found {rows}")
        if each:
            self.element, self.whole = _first(self.whole, self.name, each)
        self.needs = list(dict.fromkeys([*([each] if each else []), *self.whole]))

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """Call the function."""
        return self.function(*args, **kwargs)

    def __repr__(self) -> str:
        return f"<step {self.name}({', '.join([*self.needs, *self.settings])})>"

    @property
    def summary(self) -> str:
        """The first line of the function's docstring."""
        return (inspect.getdoc(self.function) or "").partition("\n")[0]


@overload
def step(function: Callable[P, R], /) -> Step[P, R]: ...


@overload
def step(
    *, name: str = "", each: str = "", rows: int | None = None
) -> Callable[[Callable[P, R]], Step[P, R]]: ...


def step(
    function: Callable[..., Any] | None = None,
    /,
    *,
    name: str = "",
    each: str = "",
    rows: int | None = None,
) -> Any:
    """Mark a function as a step of the pipeline that its file describes.

    With `each` the function is called once per element of what that step gave, on the engine of the
    run; its first parameter receives the element, and the step's result is the list of what the
    calls gave, in order (of a dict, a dict). Each element is kept under a key of its own.

    Args:
        function: the function; its parameters without defaults name other steps.
        name: another name than the function's.
        each: a step that gives a list, a dict, a folder or a table.
        rows: how many rows of a table are one element; 65,536 by default.

    Raises:
        UsageError: the signature has `*args` or `**kwargs`, which name no step, or no parameter for
            the element.
    """
    if function is None:
        return functools.partial(Step, name=name, each=each, rows=rows)
    return Step(function, name, each, rows)


def _first(needs: list[str], name: str, each: str) -> tuple[str, list[str]]:
    """Split what a function takes into the element and the rest."""
    if not needs:
        raise UsageError(
            f"step {name!r} is called once per element of {each!r}, but takes none",
            fix="give it a first parameter without a default: that receives the element",
        )
    return needs[0], needs[1:]


def _split_parameters(
    function: Callable[..., Any], name: str
) -> tuple[list[str], Mapping[str, object]]:
    needs, settings = [], {}
    for parameter in inspect.signature(function).parameters.values():
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            raise UsageError(
                f"step {name!r} has the parameter {str(parameter)!r}, which names no step",
                fix="name each input: a parameter without a default is a step, others are settings",
            )
        if parameter.default is parameter.empty:
            needs.append(parameter.name)
        else:
            settings[parameter.name] = parameter.default
    return needs, settings
