from __future__ import annotations

import json
from pathlib import Path

import click
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from gristmill.cli.settings import Given, parse_settings, setting_options
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
    assert parse_settings([text]) == Given({"a": {"b": value}})


def test_later_ones_win_and_steps_are_kept_apart():
    assert parse_settings(["a.x=1", "b.x=2", "a.y=3", "a.x=4"]).settings == {
        "a": {"x": 4, "y": 3},
        "b": {"x": 2},
    }


def test_one_without_a_step_is_of_all_and_takes_the_place_of_earlier_ones():
    assert parse_settings(["a.x=1", "x=2", "b.x=3"]) == Given({"a": {}, "b": {"x": 3}}, {"x": 2})


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("more.toml", 'seed = 7\n[a]\nx = 1\nnames = ["b"]\n'),
        ("more.json", '{"seed": 7, "a": {"x": 1, "names": ["b"]}}'),
    ],
)
def test_files_have_a_table_for_each_step_and_the_line_wins(tmp_path, name, text):
    (tmp_path / name).write_text(text)
    found = parse_settings(["a.x=2"], [tmp_path / name])
    assert found == Given({"a": {"x": 2, "names": ["b"]}}, {"seed": 7})


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.toml", None, "No such file or directory"),
        ("a.toml", "a = = 1", "Invalid value"),
        ("a.json", "[1]", "expected settings by name"),
        ("a.json", "{", "Expecting property name"),
        ("a.toml", b"a = '\xff'", "'utf-8' codec can't decode"),
    ],
)
def test_files_that_cannot_be_read(tmp_path, name, text, message):
    if text is not None:
        (tmp_path / name).write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(UsageError, match=message) as caught:
        parse_settings([], [tmp_path / name])
    assert caught.value.where == f"--params {tmp_path / name}"


@given(NAMES, NAMES, VALUES)
def test_every_json_value_arrives(step, setting, value):
    text = f"{step}.{setting}={json.dumps(value)}"
    assert parse_settings([text]) == Given({step: {setting: value}})


@pytest.mark.parametrize("text", ["", "a", "a.b", ".b=1", "a.=1", "=1"])
def test_other_forms_are_refused(text):
    with pytest.raises(UsageError) as caught:
        parse_settings([text])
    assert str(caught.value) == f"--set: expected [STEP.]SETTING=VALUE, found {text!r}"


def test_the_option_may_be_repeated():
    @click.command()
    @setting_options
    def command(settings: tuple[str, ...], files: tuple[Path, ...]) -> None:
        click.echo(repr(settings))

    result = CliRunner().invoke(command, ["--set", "a.b=1", "--set", "c.d=2"])
    assert result.output == "('a.b=1', 'c.d=2')\n"
