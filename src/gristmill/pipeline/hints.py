"""Type hints as contracts between steps: judged as far as they can be, passed where they can't.

`agrees` compares what a step says it gives with what another says it takes; `misfit` compares a
value with what its step says. Both answer no only where they are sure. A value has been through the
store before the next step sees it, so tuples count as lists, and a whole number as a float.
"""

from __future__ import annotations

import inspect
import types
import typing
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin

from gristmill.core.errors import UsageError
from gristmill.pipeline.steps import Step

AnyStep = Step[..., Any]
_SHOWN = 60
_ABSTRACT = (Collection, Iterable)
_MISSING = object()


def check_wiring(steps: Mapping[str, AnyStep]) -> None:
    """Check that every step takes what the steps before it give, by their hints.

    Args:
        steps: name -> step; each need is among them.

    Raises:
        UsageError: two hints disagree; both places are named.
    """
    for step in steps.values():
        for need in step.needs:
            maker = steps[need]
            if need != step.each and _same_words(maker, step, need):
                continue
            given = _given(maker, steps)
            if need in step.whole:
                _check(maker, given, step, need)
            if need == step.each:
                _check(maker, _element(given), step, step.element)


def misfit(value: object, step: AnyStep) -> str | None:
    """Say how a result is not what the step's hint says; None where it is, or might be."""
    wanted = hint_of(step, "return")
    found = next(_misfits(value, wanted, "result"), None)
    if found is None:
        return None
    place, inner, one = found
    return f"says that it gives {shown(wanted)}, but its {place} is {_worded(one)}" + (
        "" if inner is wanted else f" where {shown(inner)} was expected"
    )


def hint_of(step: AnyStep, name: str) -> Any:
    """Return the hint of a parameter, or of `return`; Any where there is none, or it can't be read.

    A hint that names something which only type checkers import can't.
    """
    function = inspect.unwrap(step.function)
    hints = getattr(function, "__annotations__", {})
    if name not in hints:
        return Any
    # One by one: a hint that can't be read leaves the others.
    holder = types.SimpleNamespace(__annotations__={name: hints[name]})
    try:
        return typing.get_type_hints(holder, getattr(function, "__globals__", {}))[name]
    except Exception:  # reading a hint runs what the user wrote there
        return Any


def agrees(given: Any, wanted: Any) -> bool:
    """Say whether all that a hint describes may be taken by whoever wants another one's."""
    given, wanted = _plain(given), _plain(wanted)
    if _is_open(given) or _is_open(wanted) or given == wanted:
        return True
    if _is_union(given):
        return all(agrees(one, wanted) for one in get_args(given))
    if _is_union(wanted):
        return any(agrees(given, one) for one in get_args(wanted))
    if get_origin(given) is Literal:
        return all(agrees(type(one), wanted) for one in get_args(given))
    if get_origin(wanted) is Literal:
        return any(agrees(type(one), given) for one in get_args(wanted))
    if typing.is_typeddict(given) or typing.is_typeddict(wanted):
        return _fields_agree(given, wanted)
    return _classes_agree(_class_of(given), _class_of(wanted)) and _arguments_agree(given, wanted)


def shown(hint: Any) -> str:
    """Return a hint as people write it."""
    text = hint.__name__ if isinstance(hint, type) and not get_args(hint) else repr(hint)
    text = text.replace("typing.", "").replace("NoneType", "None")
    return text if len(text) <= _SHOWN else text[: _SHOWN - 3] + "..."


def _same_words(maker: AnyStep, taker: AnyStep, parameter: str) -> bool:
    """Tell whether two hints read the same where names mean the same.

    Reading hints imports what they name, and in a run where all is up to date nothing else does.
    """
    giving, taking = inspect.unwrap(maker.function), inspect.unwrap(taker.function)
    given = getattr(giving, "__annotations__", {}).get("return", _MISSING)
    wanted = getattr(taking, "__annotations__", {}).get(parameter, _MISSING)
    names = [getattr(each, "__globals__", None) for each in (giving, taking)]
    return (
        isinstance(given, str) and given == wanted and not maker.fans_out and names[0] is names[1]
    )


def _check(maker: AnyStep, given: Any, taker: AnyStep, parameter: str) -> None:
    wanted = hint_of(taker, parameter)
    if not agrees(given, wanted):
        raise UsageError(
            f"takes {parameter}: {shown(wanted)}, but step {maker.name!r} ({_place(maker)}) "
            f"gives {shown(given)}",
            where=f"step {taker.name!r} ({_place(taker)})",
            fix="correct the hint that is wrong, or the step that is",
        )


def _place(step: AnyStep) -> str:
    code = inspect.unwrap(step.function).__code__
    return f"{Path(code.co_filename).name}:{code.co_firstlineno}"


def _given(step: AnyStep, steps: Mapping[str, AnyStep]) -> Any:
    """Return the hint of what a step gives as a whole."""
    hint = hint_of(step, "return")
    if not step.fans_out:
        return hint
    if not step.each:
        return _gathered(hint, isinstance(step.settings[step.element], dict))
    source = _plain(_given(steps[step.each], steps))
    if _is_open(source) or _is_union(source):
        return Any
    cls = _class_of(source)
    is_dict = typing.is_typeddict(source) or (isinstance(cls, type) and issubclass(cls, Mapping))
    return _gathered(hint, is_dict)


def _gathered(hint: Any, by_name: bool) -> Any:
    """Return the hint of what all calls of a step gave."""
    return types.GenericAlias(dict, (str, hint)) if by_name else types.GenericAlias(list, (hint,))


def _element(hint: Any) -> Any:
    """Return the hint of the elements of what has a hint; Any where it does not say."""
    hint = _plain(hint)
    cls, arguments = get_origin(hint), [each for each in get_args(hint) if each is not Ellipsis]
    if hint is Path:
        return Path
    if not isinstance(cls, type) or not arguments:
        return Any
    if issubclass(cls, tuple):
        return Union[tuple(arguments)]  # noqa: UP007 - of however many
    return arguments[-1] if issubclass(cls, Collection) else Any


def _plain(hint: Any) -> Any:
    """Return a hint without what says nothing of values: aliases, annotations, new names."""
    while True:
        if get_origin(hint) in (typing.Annotated, typing.Required, typing.NotRequired):
            hint = get_args(hint)[0]
        elif isinstance(hint, typing.NewType):
            hint = hint.__supertype__
        elif hasattr(hint, "__value__"):  # type Alias = ...
            hint = hint.__value__
        else:
            return type(None) if hint is None else hint


def _is_open(hint: Any) -> bool:
    """Say whether anything may fit: hints that name no class, and protocols."""
    if hint is Any or hint is object:
        return True
    if _is_union(hint):
        return any(_is_open(_plain(one)) for one in get_args(hint))
    if get_origin(hint) is Literal or typing.is_typeddict(hint):
        return False
    cls = _class_of(hint)
    return not isinstance(cls, type) or getattr(cls, "_is_protocol", False)


def _is_union(hint: Any) -> bool:
    return get_origin(hint) in (Union, types.UnionType)


def _class_of(hint: Any) -> Any:
    return get_origin(hint) or hint


def _classes_agree(given: type, wanted: type) -> bool:
    if given is tuple and not hasattr(given, "_fields"):
        given = list
    if wanted is tuple:
        wanted = list
    if wanted in (float, complex) and issubclass(given, int | float):
        return True
    try:
        return issubclass(given, wanted)
    except TypeError:  # a class that can't be asked
        return True


def _arguments_agree(given: Any, wanted: Any) -> bool:
    """Compare what is inside of two containers, where it is said of both."""
    cls = _class_of(given)
    ours, theirs = _inside(given), _inside(wanted)
    if not issubclass(cls, Collection) or not ours or not theirs or len(ours) != len(theirs):
        return True
    return all(agrees(one, other) for one, other in zip(ours, theirs, strict=True))


def _inside(hint: Any) -> list[Any]:
    """Return the hints of what a list or a dict holds; a tuple's as the one of a list."""
    cls, arguments = _class_of(hint), [each for each in get_args(hint) if each is not Ellipsis]
    if isinstance(cls, type) and issubclass(cls, tuple) and arguments:
        return [Union[tuple(arguments)]]  # noqa: UP007 - of however many
    if (isinstance(cls, type) and issubclass(cls, Sequence | Mapping)) or cls in _ABSTRACT:
        return arguments
    return []


def _fields_agree(given: Any, wanted: Any) -> bool:
    """Compare two hints of which one or both are TypedDicts."""
    if not typing.is_typeddict(given):
        return _classes_agree(_class_of(given), dict) or issubclass(dict, _class_of(given))
    if not typing.is_typeddict(wanted):
        return issubclass(dict, _class_of(wanted))
    (ours, _), (theirs, required) = _fields(given), _fields(wanted)
    return required <= ours.keys() and all(
        agrees(ours[name], theirs[name]) for name in theirs if name in ours
    )


def _fields(hint: Any) -> tuple[dict[str, Any], set[str]]:
    """Return the hints of a TypedDict's fields, and the names of those that must be there.

    `__required_keys__` knows nothing of `NotRequired` where hints are texts (Python 3.11).
    """
    hints = typing.get_type_hints(hint, include_extras=True)
    optional = {name for name, one in hints.items() if get_origin(one) is typing.NotRequired}
    forced = {name for name, one in hints.items() if get_origin(one) is typing.Required}
    return hints, (set(hint.__required_keys__) - optional) | forced


def _misfits(value: Any, hint: Any, place: str) -> Iterator[tuple[str, Any, Any]]:
    """Yield where a value does not fit: the place, the hint there, and what is there."""
    hint = _plain(hint)
    if _is_union(hint):
        if all(next(_misfits(value, one, place), None) for one in get_args(hint)):
            yield place, hint, value
    elif get_origin(hint) is Literal:
        if value not in get_args(hint):
            yield place, hint, value
    elif typing.is_typeddict(hint):
        yield from _misfit_fields(value, hint, place)
    elif not _is_open(hint):
        cls = _class_of(hint)
        if not _classes_agree(type(value), cls):
            yield place, hint, value
        else:
            yield from _misfits_inside(value, hint, place)


def _misfits_inside(value: Any, hint: Any, place: str) -> Iterator[tuple[str, Any, Any]]:
    arguments = get_args(hint)
    if isinstance(value, tuple) and Ellipsis not in arguments and len(arguments) > 1:
        if len(value) != len(arguments):
            yield place, hint, value
            return
        for number, (one, inner) in enumerate(zip(value, arguments, strict=True)):
            yield from _misfits(one, inner, f"{place}[{number}]")
        return
    inside = _inside(hint)
    if isinstance(value, Mapping) and len(inside) == 2:
        for at, key in _telling(enumerate(value), inside[0]):
            yield from _misfits(key, inside[0], f"{place}'s key number {at}")
        for at, one in _telling(value.items(), inside[1]):
            yield from _misfits(one, inside[1], f"{place}[{at!r}]")
    elif isinstance(value, list | tuple) and len(inside) == 1:
        for at, one in _telling(enumerate(value), inside[0]):
            yield from _misfits(one, inside[0], f"{place}[{at}]")


def _telling(
    members: Iterable[tuple[object, object]], hint: Any
) -> Iterable[tuple[object, object]]:
    """Return the members that have to be looked at: one of each class, where that decides."""
    if not _by_class(hint):
        return members
    first: dict[type, tuple[object, object]] = {}
    for member in members:
        first.setdefault(type(member[1]), member)
    return first.values()


def _by_class(hint: Any) -> bool:
    hint = _plain(hint)
    if _is_union(hint):
        return all(_by_class(one) for one in get_args(hint))
    return not (get_origin(hint) is Literal or typing.is_typeddict(hint) or get_args(hint))


def _misfit_fields(value: Any, hint: Any, place: str) -> Iterator[tuple[str, Any, Any]]:
    if not isinstance(value, dict):
        yield place, hint, value
        return
    hints, required = _fields(hint)
    for name in sorted(required - value.keys()):
        yield f"{place}[{name!r}]", hints[name], _MISSING
    for name in [name for name in hints if name in value]:
        yield from _misfits(value[name], hints[name], f"{place}[{name!r}]")


def _worded(value: object) -> str:
    if value is _MISSING:
        return "missing"
    return "None" if value is None else f"a {type(value).__qualname__}"
