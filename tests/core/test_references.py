"""Bytecode says which outside names a function reads."""

from __future__ import annotations

import os.path
from collections.abc import Callable
from typing import Any

import pytest

from gristmill.core.references import BlindSpot, Reference, references

LIMIT = 3


def calls_a_method() -> object:
    return os.path.normpath("a")


def reads_a_constant() -> bool:
    return LIMIT > 2


def imports_inside() -> object:
    import json.decoder as inner
    from math import floor, pi

    return inner, floor(pi)


def has_an_inner_function() -> Callable[[], int]:
    def inner() -> int:
        return LIMIT

    return inner


def comprehends() -> list[int]:
    return [LIMIT for _ in range(2)]


def outer() -> Callable[[], int]:
    value = LIMIT

    def reads_a_closure() -> int:
        return value

    return reads_a_closure


def found(function: Callable[..., Any]) -> set[tuple[str, str, tuple[str, ...]]]:
    return {
        (one.origin, one.root, one.path)
        for one in references(function.__code__)
        if isinstance(one, Reference)
    }


@pytest.mark.parametrize(
    ("function", "expected"),
    [
        (calls_a_method, ("global", "os", ("path", "normpath"))),
        (reads_a_constant, ("global", "LIMIT", ())),
        (imports_inside, ("import", "json.decoder", ())),
        (imports_inside, ("import", "math", ("floor",))),
        (imports_inside, ("import", "math", ("pi",))),
        (has_an_inner_function, ("global", "LIMIT", ())),
        (comprehends, ("global", "LIMIT", ())),
        (outer(), ("closure", "value", ())),
    ],
)
def test_a_name_is_found_with_its_attributes(
    function: Callable[..., Any], expected: tuple[str, str, tuple[str, ...]]
) -> None:
    assert expected in found(function)


def test_names_of_its_own_are_no_references() -> None:
    def alone(first: int) -> int:
        second = first + 1
        return second * second

    assert found(alone) == set()


def test_a_line_is_given_for_every_reference() -> None:
    first = calls_a_method.__code__.co_firstlineno
    assert {one.line for one in references(calls_a_method.__code__)} == {first + 1}


def test_getattr_with_a_literal_name_is_no_blind_spot() -> None:
    def literal(thing: object) -> object:
        return getattr(thing, "name")  # noqa: B009

    def computed(thing: object, name: str) -> object:
        return getattr(thing, name)

    def spots(function: Callable[..., Any]) -> list[str]:
        return [one.what for one in references(function.__code__) if isinstance(one, BlindSpot)]

    assert spots(literal) == []
    assert spots(computed) == ["getattr() with a computed name"]
