from __future__ import annotations

import json

import click
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from gristmill.cli.settings import parse_settings, setting_option
from gristmill.core.errors import UsageError

NAMES = st.from_regex(r"[a-z_][a-z0-9_]*", fullmatch=True)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("a.b=5", 5),
        ("a.b=0.5", 0.5),
        ("a.b=true", True),
        ("a.b=null", None),
        ("a.b=[1, 2]", [1, 2]),
        ('a.b="5"', "5"),
        ("a.b=some words", "some words"),
        ("a.b=x=y", "x=y"),
        ("a.b=", ""),
    ],
)
def test_values(text, value):
    assert parse_settings([text]) == {"a": {"b": value}}


def test_later_ones_win_and_steps_are_kept_apart():
    assert parse_settings(["a.x=1", "b.x=2", "a.y=3", "a.x=4"]) == {
        "a": {"x": 4, "y": 3},
        "b": {"x": 2},
    }


@given(NAMES, NAMES, VALUES)
def test_every_json_value_arrives(step, setting, value):
    text = f"{step}.{setting}={json.dumps(value)}"
    assert parse_settings([text]) == {step: {setting: value}}


@pytest.mark.parametrize("text", ["", "a", "a.b", "a=1", ".b=1", "a.=1", "=1"])
def test_other_forms_are_refused(text):
    with pytest.raises(UsageError) as caught:
        parse_settings([text])
    assert str(caught.value) == f"--set: expected STEP.SETTING=VALUE, found {text!r}"


def test_the_option_may_be_repeated():
    @click.command()
    @setting_option
    def command(settings: tuple[str, ...]) -> None:
        click.echo(repr(settings))

    result = CliRunner().invoke(command, ["--set", "a.b=1", "--set", "c.d=2"])
    assert result.output == "('a.b=1', 'c.d=2')\n"
