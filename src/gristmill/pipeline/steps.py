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
    """

    def __init__(self, function: Callable[P, R], name: str = "") -> None:
        functools.update_wrapper(self, function)
        self.function = function
        self.name = name or function.__name__
        self.needs, self.settings = _split_parameters(function, self.name)

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
def step(*, name: str = "") -> Callable[[Callable[P, R]], Step[P, R]]: ...


def step(function: Callable[..., Any] | None = None, /, *, name: str = "") -> Any:
    """Mark a function as a step of the pipeline that its file describes.

    Args:
        function: the function; its parameters without defaults name other steps.
        name: another name than the function's.

    Raises:
        UsageError: the signature has `*args` or `**kwargs`, which name no step.
    """
    if function is None:
        return functools.partial(Step, name=name)
    return Step(function, name)


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
