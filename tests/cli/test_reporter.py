from __future__ import annotations

import io
import subprocess
import sys
from contextlib import contextmanager

import pytest

from gristmill.cli.reporter import BarReporter, open_reporter
from gristmill.core.progress import LineReporter, reporting, task, track


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@contextmanager
def at_a_terminal():
    """Put a terminal in the place of standard error; pytest's own comes back afterwards."""
    before, sys.stderr = sys.stderr, Terminal()
    try:
        yield sys.stderr
    finally:
        sys.stderr = before


@pytest.fixture(autouse=True)
def _colours(monkeypatch):
    monkeypatch.setenv("TERM", "xterm")


def test_bars_on_a_terminal_lines_elsewhere():
    with at_a_terminal():
        assert isinstance(open_reporter(), BarReporter)
    assert isinstance(open_reporter(), LineReporter)


def test_a_bar_shows_its_title_and_goes_away():
    with at_a_terminal() as terminal:
        reporter = BarReporter()
        with reporting(reporter), task("label", 10, "rows") as work:
            work.advance(4)
            work.note("loss 0.5")
            bars = reporter._bars
            assert [(bar.completed, bar.total) for bar in bars.tasks] == [(4, 10)]
            assert bars.tasks[0].description == "label  loss 0.5"
        assert reporter._bars is None
        assert "label" in terminal.getvalue()


def test_lines_stand_below_the_bar_and_the_note_gives_way():
    with at_a_terminal() as terminal:
        reporter = BarReporter()
        with reporting(reporter), task("training", 10, "steps") as work:
            work.show(["cpu:0  97%  trial 3", "x" * 200])
            work.note("loss 0.5")
            bars = reporter._bars
            assert bars.tasks[0].description == "training"
            assert [str(each) for each in list(bars.get_renderables())[1:]] == [
                "    cpu:0  97%  trial 3", "    " + "x" * 200
            ]  # fmt: skip
            bars.refresh()
        said = terminal.getvalue()
        assert "cpu:0  97%  trial 3" in said
        assert "x" * 81 not in said


def test_a_long_note_leaves_room_for_the_counts(monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    with at_a_terminal():
        reporter = BarReporter()
        with reporting(reporter), task("training", 10, "steps") as work:
            work.note("y" * 100)
            assert len(reporter._bars.tasks[0].description) == 40


def test_bars_within_bars_share_one_display():
    with at_a_terminal():
        reporter = BarReporter()
        with reporting(reporter):
            for _ in track(range(2), "outer"):
                with task("inner", None):
                    assert len(reporter._bars.tasks) == 2
                assert len(reporter._bars.tasks) == 1
        assert reporter._bars is None


def test_the_display_closes_when_the_work_fails():
    with at_a_terminal():
        reporter = BarReporter()
        with pytest.raises(ValueError, match="no"), reporting(reporter), task("x", 1):
            raise ValueError("no")
        assert reporter._bars is None


def test_lines_are_text_with_bars_and_without():
    with at_a_terminal() as terminal:
        reporter = BarReporter()
        reporter.say("[a] plain")
        with reporting(reporter), task("x", 1):
            reporter.say("[b] plain")
        assert terminal.getvalue().startswith("[a] plain\n")
        assert "[b] plain" in terminal.getvalue()


def test_a_task_of_another_reporter_is_left_alone():
    with at_a_terminal() as terminal:
        other = LineReporter(io.StringIO())
        BarReporter().finish(other.start("x", 1, "rows"))
        assert terminal.getvalue() == ""


def test_no_rich_without_a_bar():
    code = (
        "import sys; from gristmill.cli.reporter import BarReporter; BarReporter().say('x');"
        "print('rich' in sys.modules)"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert (found.stdout, found.stderr) == ("False\n", "x\n")


@pytest.mark.parametrize("to_a_terminal", [True, False])
def test_results_go_above_the_bars_on_a_terminal_and_into_a_file_as_ever(
    monkeypatch, to_a_terminal
):
    results = Terminal() if to_a_terminal else io.StringIO()
    monkeypatch.setattr(sys, "stdout", results)
    with at_a_terminal() as terminal:
        with reporting(BarReporter()), task("label", 10, "rows"):
            sys.stdout.write("a result\n")
        assert ("a result" in terminal.getvalue()) == to_a_terminal
        assert results.getvalue() == ("" if to_a_terminal else "a result\n")
