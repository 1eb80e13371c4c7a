"""`gristmill monitor` at the prompt: a look, its log, and looks until it is stopped."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time

import pytest
from tests.pipeline.monitoring.conftest import DAY, PIPELINE, Shop, all_columns, rows

from gristmill.store.monitorings import Monitorings
from gristmill.store.project import Project

PLAN = '[monitor]\nmodel = "spam"\n'


@pytest.fixture
def monitored(prompt, spam_bundle):
    """monitored(shift): a prompt in a project whose model was served rows that lie so far away."""

    def open_(shift=0.0):
        prompt.write("gristmill.toml", PLAN)
        with Project(prompt.root) as project:
            shop = Shop(project, spam_bundle)
            bundle = shop.bundle("one")
            shop.release(bundle, time.time() - 2 * DAY, metric="accuracy", rows=100, figure=0.9)
            shop.serve(bundle, all_columns(600, 3, shift), at=time.time())
        return prompt

    return open_


def actions(prompt):
    with Project(prompt.root) as project:
        return [each.action for each in Monitorings(project).history("spam")]


def test_a_quiet_look(monitored) -> None:
    prompt = monitored()
    found = prompt("monitor")
    assert (found.code, found.err) == (0, "")
    lines = found.out.splitlines()
    assert "spam version 1, champion since" in lines[0]
    assert "600 rows: no findings" in lines
    assert lines[-2:] == ["nothing is done", "  - nothing calls for a retraining"]
    assert max(map(len, lines)) <= 80
    assert actions(prompt) == ["none"]


def test_drift_is_told_with_its_exit_code_and_files(monitored) -> None:
    prompt = monitored(1.5)
    found = prompt("monitor", "--page", "page.html", "--junit", "junit.xml")
    assert found.code == 3
    assert "ERROR  drift  age" in found.out
    assert max(map(len, found.out.splitlines())) <= 80
    page = (prompt.root / "page.html").read_text()
    assert '<h1 dir="auto">Monitoring of spam</h1>' in page
    assert "version 1, champion since" in page
    assert "nothing is done: drift of age: told, as on_drift is &#34;tell&#34;" in page
    assert "train anew on newer data" in page
    assert "Duplicate rows" not in page
    assert 'failures="1"' in (prompt.root / "junit.xml").read_text()
    payload = prompt("monitor", "--json", "--dry-run").json
    assert (payload["exit_code"], payload["action"]) == (3, "none")
    assert [each["code"] for each in payload["report"]["findings"]] == ["drift"]
    assert actions(prompt) == ["none"]


@pytest.mark.parametrize("args", [(), ("--json",)])
def test_the_files_are_written_though_nobody_reads_what_is_printed(monitored, args) -> None:
    prompt = monitored(1.5)
    reader, writer = os.pipe()
    os.close(reader)
    command = [sys.executable, "-m", "gristmill", "monitor", *args, "--page", "page.html"]
    done = subprocess.run(
        command, cwd=prompt.root, stdout=writer, stderr=subprocess.PIPE, text=True, check=False
    )
    os.close(writer)
    assert (done.returncode, done.stderr) == (3, "")
    assert "</html>" in (prompt.root / "page.html").read_text()


def test_the_log_puts_looks_alike_together(monitored) -> None:
    prompt = monitored()
    assert prompt("monitor", "--log").out == "nothing was monitored yet\n"
    for _ in range(3):
        prompt("monitor")
    with Project(prompt.root) as project:
        log = Monitorings(project)
        for _ in range(2):
            log.add("spam", "wait", ["cooling down"], version=1)
        log.add("spam", "retrain", ["drift of age"], version=1)
        log.add("spam", "promoted", ["version 2: promote", "better " * 20], version=2, run="r-1")
    lines = prompt("monitor", "--log").out.splitlines()
    assert "promoted  version 2  run r-1" in lines[0]
    assert "wait      version 1  (2 looks alike)" in lines[-4]
    assert "none      version 1  (3 looks alike)" in lines[-2]
    assert max(map(len, lines)) <= 80
    assert [each["action"] for each in prompt("monitor", "--log", "--json").json] == [
        "promoted", "retrain", "wait", "wait", "none", "none", "none",
    ]  # fmt: skip


def test_a_retraining_at_the_prompt(monitored) -> None:
    import polars as pl

    prompt = monitored(1.5)
    prompt.write("gristmill.toml", PLAN + 'on_drift = "retrain"\npipeline = "again.py"\n')
    prompt.write("again.py", PIPELINE)
    dry = prompt("monitor", "--dry-run")
    assert (dry.code, "would be retrained" in dry.out) == (3, True)
    pl.DataFrame(rows(2000, 4, 1.5)).with_columns(good=1).write_csv(prompt.root / "table.csv")
    found = prompt("monitor", "--json")
    assert (found.code, found.json["outcome"]["action"]) == (0, "promoted")
    assert "+ released" in found.err
    assert "champion 2" in prompt("models").out


@pytest.fixture
def looks(monkeypatch):
    """The looks that were made, and stop(number, after): sends a signal once there are so many."""
    from gristmill.pipeline.monitoring import looking

    made, waiting = [], []

    def counted(*args, **options):
        made.append(args)
        return plain(*args, **options)

    def stop(number, after=0):
        before = signal.getsignal(number)

        def send():
            # Without its handler the signal would end the tests.
            while signal.getsignal(number) is before or len(made) < after:
                pause.wait(0.01)
            pause.wait(0.1)
            os.kill(os.getpid(), number)

        waiting.append(threading.Thread(target=send))
        waiting[-1].start()

    pause = threading.Event()
    plain = looking.monitor
    monkeypatch.setattr(looking, "monitor", counted)
    yield made, stop
    for thread in waiting:
        thread.join()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_looks_go_on_until_it_is_stopped_and_the_next_one_when_it_is_due(
    monitored, looks, number
) -> None:
    prompt = monitored()
    made, stop = looks
    stop(number, after=2)
    ended = prompt("monitor", "--every", "10ms")
    assert (ended.code, ended.err) == (0, "")
    assert len(actions(prompt)) == len(made) >= 2
    # As after a kill: what was looked at is on record, and the next look is not due.
    before = len(made)
    stop(number)
    again = prompt("monitor", "--every", "1h")
    assert (again.code, again.out) == (0, "")
    assert len(made) == before


def test_a_clock_that_was_ahead_puts_off_no_look(monitored, looks) -> None:
    prompt = monitored()
    with Project(prompt.root) as project:
        Monitorings(project).add("spam", "none", ["fine"], version=1, at=time.time() + 1e7)
    _, stop = looks
    stop(signal.SIGTERM, after=1)
    assert prompt("monitor", "--every", "10ms").code == 0
    assert len(actions(prompt)) >= 2


def test_an_error_of_one_look_ends_a_single_look_but_not_the_going_on(monitored, looks) -> None:
    import shutil

    prompt = monitored()
    shutil.rmtree(prompt.root / "serving")
    alone = prompt("monitor")
    assert (alone.code, alone.out) == (7, "")
    assert "expected the folder of what was served, found none" in alone.err
    made, stop = looks
    stop(signal.SIGTERM, after=3)
    going_on = prompt("monitor", "--every", "10ms")
    assert going_on.code == 0
    assert going_on.err.count("expected the folder of what was served") == len(made) - 1 >= 2


@pytest.mark.parametrize(
    ("text", "arguments", "words"),
    [
        ("[monitor]\nmodle = 'x'\n", (), "did you mean 'model'?"),
        (PLAN, ("--model", "ham"), "there is no model 'ham'"),
        (PLAN, ("--every", "0s"), "--every: expected a time above 0"),
        (PLAN, ("--every", "soon"), "expected a duration such as"),
    ],
)
def test_a_wrong_call_is_refused(monitored, text, arguments, words) -> None:
    prompt = monitored()
    prompt.write("gristmill.toml", text)
    found = prompt("monitor", *arguments)
    assert found.code == 2
    assert words in found.err
