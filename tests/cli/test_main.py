from __future__ import annotations

import gc
import os
import subprocess
import sys

import click
import pytest

from gristmill import __version__
from gristmill.cli import main
from gristmill.cli.main import COMMANDS
from gristmill.core.errors import GristmillError


def subclasses(kind):
    return {kind} | {inner for each in kind.__subclasses__() for inner in subclasses(each)}


def test_help_lists_every_command_and_exit_code_and_fits_the_terminal(prompt):
    answer = prompt("--help")
    assert answer.code == 0
    width = max(map(len, COMMANDS))
    for name, summary in COMMANDS.items():
        assert f"  {name:<{width}}  {summary}\n" in answer.out
    codes = {kind.exit_code for kind in subclasses(GristmillError)} | {0, main.INTERRUPTED}
    listed = answer.out.split("Exit codes:")[1]
    assert {int(word) for word in listed.split() if word.isdigit()} == codes
    assert max(map(len, answer.out.splitlines())) <= 80


@pytest.mark.parametrize("name", COMMANDS)
def test_help_of_every_command_has_an_example(prompt, name):
    for option in ("--help", "-h"):
        answer = prompt(name, option)
        assert answer.code == 0, answer.err
    usage, _, body = answer.out.partition("\n")
    assert usage.startswith(f"Usage: gristmill {name}")
    assert f"gristmill {name}" in body or name == "lineage"
    assert "--json" in body
    assert max(map(len, answer.out.splitlines())) <= 80


def test_no_command_shows_the_help(prompt):
    answer = prompt()
    assert "Commands:" in answer.out + answer.err


def test_version(prompt):
    answer = prompt("--version")
    assert (answer.code, answer.out) == (0, f"gristmill, version {__version__}\n")


@pytest.mark.parametrize(
    ("name", "hint"), [("rum", "Did you mean 'run'?"), ("xyz", "See 'gristmill --help'.")]
)
def test_an_unknown_command_suggests_one(prompt, name, hint):
    answer = prompt(name)
    assert answer.code == 2
    assert f"No such command '{name}'. {hint}" in answer.err


def test_an_unknown_option(project):
    answer = project("run", "--fast")
    assert answer.code == 2
    assert "No such option" in answer.err
    assert answer.out == ""


def test_errors_have_no_traceback_unless_asked_for(project, monkeypatch):
    project.edit("helpers.py", "return [", "return 1 / 0 or [")
    assert "Traceback" not in project("run").err
    shown = project("--debug", "run").err
    assert "Traceback" in shown
    assert "ZeroDivisionError" in shown
    assert shown.rstrip().splitlines()[-2].startswith("error: step 'scaled'")
    monkeypatch.setenv("GRISTMILL_DEBUG", "1")
    assert "Traceback" in project("run").err


def test_an_unexpected_error_is_one_sentence(project, monkeypatch):
    def broken(*args):
        raise ValueError("what a surprise")

    monkeypatch.setattr("gristmill.pipeline.load.load_pipeline", broken)
    answer = project("run")
    assert answer.code == 1
    assert answer.err.startswith("error: test_main.py:")
    assert "unexpected ValueError: what a surprise\n  fix: run again with --debug" in answer.err


def test_ctrl_c(project):
    project.edit("helpers.py", "return [", "raise KeyboardInterrupt\n    return [")
    answer = project("run")
    assert answer.code == 130
    assert answer.err.strip() == "stopped"
    assert project("runs", "--json").json[0]["status"] == "stopped"


def test_sys_exit_in_a_step_is_a_failure(project):
    project.edit("helpers.py", "return [", "raise SystemExit(0)\n    return [")
    assert project("run").code == 6


def test_a_command_may_leave_with_a_code_of_its_own(prompt, monkeypatch):
    @click.command("runs")
    @click.pass_context
    def command(ctx: click.Context) -> None:
        ctx.exit(3)

    monkeypatch.setattr("gristmill.cli.runs.command", command)
    assert prompt("runs").code == 3


@pytest.mark.parametrize("args", [["--help"], ["run"], ["runs", "--json"]])
def test_a_reader_that_goes_away_is_no_error(project, args):
    """The pipe's reading end is closed before the command writes."""
    assert project("run").code == 0
    reading, writing = os.pipe()
    os.close(reading)
    process = subprocess.run(
        [sys.executable, "-m", "gristmill", *args], stdout=writing, stderr=subprocess.PIPE,
        cwd=project.root, check=False,
    )  # fmt: skip
    os.close(writing)
    assert process.stderr == b""
    assert process.returncode == 0


def test_quiet_silences_progress_and_keeps_results(project):
    project.edit("pipeline.py", "def numbers():", "def numbers():\n    say('counting')")
    project.edit("pipeline.py", "import step", "import step\nfrom gristmill.pipeline import say")
    assert project("run").err == "    counting\n"
    answer = project("--quiet", "run", "--force", "numbers")
    assert answer.err == ""
    assert "3 steps" in answer.out


def test_ctrl_c_says_what_the_command_knows(monkeypatch, capsys):
    def interrupted(**_):
        raise click.Abort from KeyboardInterrupt("3 steps are safe")

    monkeypatch.setattr(main.cli, "main", interrupted)
    assert main.run([]) == main.INTERRUPTED
    assert capsys.readouterr().err == "stopped: 3 steps are safe\n"


def test_the_collector_has_nothing_to_do_at_the_end(monkeypatch):
    monkeypatch.setattr(main, "run", lambda: 3)
    try:
        with pytest.raises(SystemExit) as ended:
            main.main()
        frozen = gc.get_freeze_count()
    finally:
        gc.unfreeze()
    assert ended.value.code == 3
    assert frozen > 1000
