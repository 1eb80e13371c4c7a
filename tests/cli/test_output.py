from __future__ import annotations

import json

import click
import pytest
from click.testing import CliRunner

from gristmill.cli.output import emit, json_option, print_error, say, table
from gristmill.core.errors import DataError
from gristmill.core.plan import Cost, Plan


def test_say(capsys):
    say("one [b]line[/b]")
    say()
    assert capsys.readouterr().out == "one [b]line[/b]\n\n"


def test_emit_prints_json_or_shows(capsys):
    shown = []
    emit({"a": 1, "b": [None, "ü"]}, True, lambda: shown.append(1))
    text = capsys.readouterr().out
    assert json.loads(text) == {"a": 1, "b": [None, "ü"]}
    assert "ü" in text
    assert shown == []
    emit({}, False, lambda: shown.append(1))
    assert shown == [1]
    assert capsys.readouterr().out == ""


def test_emit_takes_structs(capsys):
    emit(Plan("x", estimated=Cost(rows=3)), True, lambda: None)
    shown = json.loads(capsys.readouterr().out)
    assert (shown["what"], shown["action"], shown["estimated"]) == ("x", "run", {"rows": 3})


def test_json_option():
    @click.command()
    @json_option
    def command(as_json: bool) -> None:
        click.echo(repr(as_json))

    assert CliRunner().invoke(command, ["--json"]).output == "True\n"
    assert CliRunner().invoke(command, []).output == "False\n"


def test_numbers_stand_on_the_right_and_texts_on_the_left(capsys):
    table("Title", ["name", "n"], [["a", 5], ["long name", 1234], ["b", None]])
    lines = [line.rstrip() for line in capsys.readouterr().out.splitlines()]
    assert lines[0] == "Title"
    assert any(line.split() == ["b", "-"] for line in lines)
    table("", ["name", "n"], [["a", 5], ["b", 1234]])
    rows = [line.rstrip() for line in capsys.readouterr().out.splitlines() if line.strip()]
    assert len(rows[-1]) == len(rows[-2])
    assert rows[-2].endswith("   5")


def test_markup_in_cells_is_text(capsys):
    table("", ["a"], [["[red]x[/red]"], [0.123456]])
    out = capsys.readouterr().out
    assert "[red]x[/red]" in out
    assert "0.123" in out
    assert "0.1234" not in out


@pytest.mark.parametrize("columns", [40, 80, 120])
def test_a_table_fits_a_terminal_and_folds_without_losing_a_letter(monkeypatch, capsys, columns):
    monkeypatch.setattr("gristmill.cli.output.terminal_width", lambda: columns)
    table("", ["step", "why"], [["x", "abcdefghij" * 30]])
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= columns
    assert "".join(lines).count("j") == 30


def test_an_empty_table_still_has_its_columns(capsys):
    table("", ["one", "two"], [])
    assert "one" in capsys.readouterr().out


def test_errors_go_to_standard_error(capsys):
    print_error(DataError("expected 3 fields, found 2", where="a.csv:7", fix="add a comma"))
    print_error(DataError("plain"))
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err == (
        "error: a.csv:7: expected 3 fields, found 2\n  fix: add a comma\nerror: plain\n"
    )
