"""`@step`: a function whose parameters name the steps that it needs."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from typing import Any, Generic, ParamSpec, TypeVar, overload

from gristmill.core.errors import UsageError
from gristmill.core.quantities import parse_seconds

P = ParamSpec("P")
R = TypeVar("R")
Fan = str | list[Any] | dict[str, Any]
"""What a step is called once per element of: what a step of this name gives, or these values."""


class Step(Generic[P, R]):
    """A function that a pipeline can run, cache and trace.

    A parameter without a default names the step whose result it receives; a parameter with one is a
    setting. Calling the step calls the function: in a test or a notebook it is just that.

    Attributes:
        name: the step's name: the function's.
        needs: names of the steps whose results it takes, in order.
        settings: name -> default of each setting.
        each: the step whose result it is called with element by element; empty for a step that is
            called once, or with values that are a setting.
        element: the parameter that receives the element.
        whole: names of the steps whose results it takes whole.
        rows: how many rows of a table are one element; None for 65,536.
        retries: how often it is tried again after an error that may pass.
        backoff: seconds, at most, before it is tried the second time.
        timeout: seconds that one try may take; None for any.
        gated: whether a shut gate among its needs blocks it.
    """

    def __init__(
        self,
        function: Callable[P, R],
        name: str = "",
        each: Fan = "",
        rows: int | None = None,
        *,
        retries: int = 0,
        backoff: str | float = 1.0,
        timeout: str | float | None = None,
        gated: bool = True,
    ) -> None:
        functools.update_wrapper(self, function)
        self.function = function
        self.name = name or function.__name__
        self.retries, self.backoff = retries, parse_seconds(backoff)
        self.timeout = None if timeout is None else parse_seconds(timeout)
        self.gated = gated
        self.each, self.rows, self.element = each if isinstance(each, str) else "", rows, ""
        self.whole, self.settings = _split_parameters(function, self.name)
        self._check_limits()
        if each or not isinstance(each, str):
            self.element, self.whole = _first(self.whole, self.name, each)
        if not isinstance(each, str):
            self.settings = {self.element: each, **self.settings}
        self.needs = list(dict.fromkeys([*([self.each] if self.each else []), *self.whole]))

    @property
    def fans_out(self) -> bool:
        """Whether it is called once per element."""
        return bool(self.element)

    def _check_limits(self) -> None:
        if self.rows is not None and self.rows < 1:
            raise UsageError(f"step {self.name!r}: expected at least 1 row, found {self.rows}")
        if self.retries < 0:
            raise UsageError(f"step {self.name!r}: expected 0 retries or more, not {self.retries}")
        if self.timeout is not None and self.timeout <= 0:
            raise UsageError(f"step {self.name!r}: expected a timeout above 0 s")

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
    *,
    name: str = "",
    each: Fan = "",
    rows: int | None = None,
    retries: int = 0,
    backoff: str | float = 1.0,
    timeout: str | float | None = None,
    gated: bool = True,
) -> Callable[[Callable[P, R]], Step[P, R]]: ...


def step(
    function: Callable[..., Any] | None = None,
    /,
    *,
    name: str = "",
    each: Fan = "",
    rows: int | None = None,
    retries: int = 0,
    backoff: str | float = 1.0,
    timeout: str | float | None = None,
    gated: bool = True,
) -> Any:
    """Mark a function as a step of the pipeline that its file describes.

    With `each` the function is called once per element of what that step gave, on the engine of the
    run; its first parameter receives the element, and the step's result is the list of what the
    calls gave, in order (of a dict, a dict). Each element is kept under a key of its own.

    A step with a time limit runs in a process of its own, which ends with the time. What is tried
    again is what may pass: an error that the function raises, a limit that is reached, a process
    that dies; not an error that says that the call, the data or the code is wrong
    (`pipeline/tries.py`). None of the limits is part of the step's key.

    Args:
        function: the function; its parameters without defaults name other steps.
        name: another name than the function's.
        each: a step that gives a list, a dict, a folder or a table; or a list or a dict of values:
            the default of a setting that has the name of the first parameter.
        rows: how many rows of a table are one element; 65,536 by default.
        retries: how often to try again after an error that may pass.
        backoff: the longest wait before the second try; twice as long before each further one, and
            5 minutes at most.
        timeout: how long one try may take, as `"10m"` or seconds.
        gated: whether it is blocked where a gate that it takes did not say `promote`. False is for
            a step that puts on record what the gate said, whatever that is, as `release` does.

    Raises:
        UsageError: the signature has `*args` or `**kwargs`, which name no step, or no parameter for
            the element; or a limit that is none.
    """

    def made(function: Callable[..., Any]) -> Step[..., Any]:
        return Step(
            function, name, each, rows,
            retries=retries, backoff=backoff, timeout=timeout, gated=gated,
        )  # fmt: skip

    return made if function is None else made(function)


def _first(needs: list[str], name: str, each: Fan) -> tuple[str, list[str]]:
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
