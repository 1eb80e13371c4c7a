"""Hints as contracts: sure disagreement is refused with both places, all else passes."""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import (
    Annotated,
    Any,
    Literal,
    NewType,
    NotRequired,
    Optional,
    Protocol,
    TypedDict,
    Union,
)

import numpy as np
import numpy.typing as npt
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gristmill.core.errors import StepError, UsageError
from gristmill.pipeline.graph import Pipeline
from gristmill.pipeline.hints import agrees, misfit
from gristmill.pipeline.steps import Step


class Animal:
    pass


class Dog(Animal):
    pass


class Named(Protocol):
    name: str


class Row(TypedDict):
    word: str
    count: int
    note: NotRequired[str]


class Word(TypedDict):
    word: str


class Other(TypedDict):
    word: int


class Color(enum.Enum):
    RED = 1


@dataclass
class Point:
    x: float


Age = NewType("Age", int)


@pytest.mark.parametrize(
    ("given_hint", "wanted"),
    [
        (int, int), (int, float), (bool, int), (Dog, Animal), (Any, int), (int, Any),
        (int, object), (int, "not evaluated"), (int | None, int | None), (int, Optional[int]),  # noqa: UP045
        (int, Union[int, str]),  # noqa: UP007
        (None, int | None), (list[int], list), (list, list[int]),
        (list[int], Sequence[float]), (list[int], Iterable[int]), (list[Any], list[int]),
        (dict[str, int], Mapping[str, float]), (dict[str, int], dict),
        (tuple[int, str], list[int | str]),
        (tuple[int, ...], list[int]), (list[int], tuple[int, ...]), (Dog, Named), (Named, Dog),
        (Row, dict), (Row, Mapping[str, Any]), (dict[str, Any], Row), (Row, Word), (Row, Row),
        (Literal["a"], str), (str, Literal["a"]), (Literal["a"], Literal["a", "b"]),
        (Age, int), (Annotated[int, "years"], int), (int, Annotated[int, "years"]),
        (npt.NDArray[np.float64], np.ndarray), (np.ndarray, npt.NDArray[np.int64]),
        (pl.DataFrame, pl.DataFrame), (Callable[[int], int], Callable), (Color, Color),
        (list[Dog], list[Animal]), (int | bool, int), (list[int] | list[str], list[int | str]),
    ],
)  # fmt: skip
def test_what_may_fit_agrees(given_hint: Any, wanted: Any) -> None:
    assert agrees(given_hint, wanted)


@pytest.mark.parametrize(
    ("given_hint", "wanted"),
    [
        (str, int), (float, int), (Animal, Dog), (int | None, int), (Optional[int], int),  # noqa: UP045
        (None, int), (int, None), (list[str], list[int]), (list[int], dict[str, int]),
        (dict[str, str], dict[str, int]), (dict[int, int], dict[str, int]), (str, list[str]),
        (list[int | None], list[int]), (tuple[int, str], list[int]), (Row, Other), (Word, Row),
        (Row, list), (list[int], Row), (Literal[1], str), (str, Literal[1, 2]), (Age, str),
        (pl.DataFrame, np.ndarray), (pl.DataFrame, list[dict[str, Any]]), (Path, str),
        (Point, dict), (int | str, int), (list[list[str]], Sequence[Sequence[float]]),
    ],
)  # fmt: skip
def test_what_cannot_fit_does_not(given_hint: Any, wanted: Any) -> None:
    assert not agrees(given_hint, wanted)


PLAIN = st.sampled_from([int, str, float, bool, type(None)])
HINTS = st.recursive(
    PLAIN,
    lambda inner: st.one_of(
        inner.map(lambda one: list[one]),
        inner.map(lambda one: dict[str, one]),
        st.tuples(inner, inner).map(lambda pair: Union[pair]),  # noqa: UP007
    ),
    max_leaves=5,
)


def values_of(hint: Any) -> st.SearchStrategy[Any]:
    return st.from_type(hint)


@settings(max_examples=50)
@given(st.data(), HINTS, HINTS)
def test_a_value_that_is_as_given_fits_whatever_agrees(data: Any, ours: Any, theirs: Any) -> None:
    value = data.draw(values_of(ours))
    assert misfit(value, step_of(ours)) is None
    assert agrees(ours, ours)
    if agrees(ours, theirs):
        assert misfit(value, step_of(theirs)) is None


def step_of(hint: Any) -> Step[..., Any]:
    def made() -> None: ...

    made.__annotations__ = {"return": hint}
    return Step(made)


@pytest.mark.parametrize(
    ("value", "hint", "said"),
    [
        ("a", int, "says that it gives int, but its result is a str"),
        (None, list[int], "says that it gives list[int], but its result is None"),
        ([1, "a"], list[int],
         "says that it gives list[int], but its result[1] is a str where int was expected"),
        ({"a": [0.5]}, dict[str, list[int]],
         "says that it gives dict[str, list[int]], but its result['a'][0] is a float where int was "
         "expected"),
        ({1: 2}, dict[str, int],
         "says that it gives dict[str, int], but its result's key number 0 is a int where str was "
         "expected"),
        ({"word": "a"}, Row,
         "says that it gives Row, but its result['count'] is missing where int was expected"),
        ((1, 2, 3), tuple[int, int],
         "says that it gives tuple[int, int], but its result is a tuple"),
        ((1, "b"), tuple[int, int],
         "says that it gives tuple[int, int], but its result[1] is a str where int was expected"),
        ("c", Literal["a", "b"], "says that it gives Literal['a', 'b'], but its result is a str"),
        (0.5, int | None, "says that it gives int | None, but its result is a float"),
        (Animal(), Dog, "says that it gives Dog, but its result is a Animal"),
    ],
)  # fmt: skip
def test_a_value_that_does_not_fit_is_described_without_being_shown(
    value: Any, hint: Any, said: str
) -> None:
    assert misfit(value, step_of(hint)) == said


@pytest.mark.parametrize(
    ("value", "hint"),
    [
        (1, float), (True, int), ([], list[int]), ([Dog()], list[Animal]),
        ((1, 2), tuple[int, ...]),
        ({"word": "a", "count": 1}, Row), (Animal(), Named), (np.zeros(2), npt.NDArray[np.float64]),
        (iter(()), Iterator[int]), (5, "NotThere"), (None, None), ([1, None], list[int | None]),
    ],
)  # fmt: skip
def test_a_value_that_fits_or_cannot_be_judged_passes(value: Any, hint: Any) -> None:
    assert misfit(value, step_of(hint)) is None


def words() -> list[str]:
    return ["a"]


def numbers(words: list[int]) -> int:
    return 1


def each_word(word: int) -> int:
    return word


def total(each_word: list[str]) -> int:
    return 1


def unreadable(words: ThisIsNowhere) -> int:  # type: ignore[name-defined]  # noqa: F821
    return 1


def test_steps_that_disagree_are_refused_when_they_are_read_with_both_places() -> None:
    with pytest.raises(UsageError) as caught:
        Pipeline([Step(words), Step(numbers)])
    line = numbers.__code__.co_firstlineno
    assert str(caught.value) == (
        f"step 'numbers' (test_hints.py:{line}): takes words: list[int], but step 'words' "
        f"(test_hints.py:{words.__code__.co_firstlineno}) gives list[str]\n"
        "  fix: correct the hint that is wrong, or the step that is"
    )


def test_a_hint_that_cannot_be_read_passes() -> None:
    assert Pipeline([Step(words), Step(unreadable)]).names == ["words", "unreadable"]


def test_elements_and_what_their_calls_gave_have_hints_of_their_own() -> None:
    with pytest.raises(UsageError, match=r"takes word: int, but step 'words' .* gives str"):
        Pipeline([Step(words), Step(each_word, each="words")])
    with pytest.raises(UsageError, match=r"takes each_word: list\[str\], .* gives list\[int\]"):
        Pipeline([Step(each_word, each=[1, 2]), Step(total)])
    with pytest.raises(
        UsageError, match=r"takes each_word: list\[str\], .* gives dict\[str, int\]"
    ):
        Pipeline([Step(each_word, each={"a": 1}), Step(total)])


def test_a_result_that_is_not_as_said_fails_the_step_and_is_not_stored(user: Any) -> None:
    user.write(
        pipeline="from gristmill import step\n@step(retries=3)\ndef one() -> list[int]:\n"
        "    return [1, 'b']\n"
    )
    result = user.run()
    assert isinstance(result.error, StepError)
    assert str(result.error) == (
        "step 'one': says that it gives list[int], but its result[1] is a str where int was "
        "expected\n  fix: correct the function, or its hint"
    )
    assert result.executions["one"].reach.get("tries") is None  # it would be the same again
