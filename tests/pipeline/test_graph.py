"""Steps are wired by name, checked before anything runs."""

from __future__ import annotations

import pytest

from gristmill.core.errors import UsageError
from gristmill.pipeline.graph import Pipeline
from gristmill.pipeline.steps import Step, step


@step
def load():
    """Read the data.

    More words.
    """
    return [1]


@step
def train(load, rate=0.1):
    return len(load) * rate


@step(name="checked")
def check(train):
    return train > 0


def test_needs_are_parameters_without_default_and_settings_those_with_one() -> None:
    assert (train.needs, train.settings) == (["load"], {"rate": 0.1})
    assert check.name == "checked"
    assert load.summary == "Read the data."


def test_a_step_is_still_a_function() -> None:
    assert train([1, 2], rate=2) == 4
    assert repr(train) == "<step train(load, rate)>"


def test_steps_are_ordered_by_need_then_by_definition() -> None:
    assert Pipeline([check, train, load]).names == ["load", "train", "checked"]


def test_upstream_is_the_step_and_all_it_needs() -> None:
    assert Pipeline([load, train, check]).upstream(["train"]) == {"load", "train"}


def test_a_need_that_no_step_gives_is_named_with_a_near_one() -> None:
    with pytest.raises(UsageError) as caught:
        Pipeline([load, Step(lambda laod: 1, "train")], "p.py")
    assert str(caught.value) == (
        "p.py: step 'train': needs 'laod', but no step has that name\n"
        "  fix: did you mean 'load'?, or give the parameter a default to make it a setting"
    )


def test_a_circle_is_refused() -> None:
    with pytest.raises(UsageError, match="need each other in a circle: a, b"):
        Pipeline([Step(lambda b: 1, "a"), Step(lambda a: 1, "b")])


def test_two_steps_of_one_name_and_no_steps_are_refused() -> None:
    with pytest.raises(UsageError, match="two steps are called 'load'"):
        Pipeline([load, load])
    with pytest.raises(UsageError, match="defines no steps"):
        Pipeline([])


def test_parameters_that_name_nothing_are_refused() -> None:
    with pytest.raises(UsageError, match=r"parameter '\*rest', which names no step"):
        step(lambda *rest: 1)
