from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest

from gristmill.core.errors import StepError, TrainError, UsageError
from gristmill.engine import Inline, LocalProcesses
from gristmill.train.hunt.halving import halving
from gristmill.train.hunt.hunt import JOURNAL, Hunt
from gristmill.train.hunt.population import Population
from gristmill.train.hunt.pruned import Pruned
from gristmill.train.hunt.running import run_trials
from gristmill.train.space import Space

SLOPES = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6]
HALVING = partial(halving, most=4, eta=2)


@pytest.fixture(scope="module")
def processes(jobs):
    with LocalProcesses(2) as engine:
        yield engine


@pytest.fixture
def climbing(jobs, tmp_path):
    """Run a hunt over slopes in this process; return it."""

    def run(rules, slopes=SLOPES, *, sampler="grid", engine=None, **more):
        space = Space(slope=slopes, **more)
        with Hunt(rules, len(slopes), space, sampler=sampler, folder=tmp_path) as hunt:
            run_trials(hunt, jobs.Climb, tmp_path, engine=engine or Inline())
        return hunt

    return run


class Elsewhere:
    """Actors that are taken for those of other machines: nothing is known of their folders."""

    def __init__(self, engine):
        self._engine = engine
        self.actors, self.most = [], 2

    def workers(self, n, factory, *, cpus=None, gpus=0):
        if len(self.actors) + n > self.most:
            raise StepError("no room")
        found = self._engine.workers(n, factory, cpus=cpus, gpus=gpus)
        self.actors += found
        return found


@pytest.fixture
def elsewhere(processes):
    return Elsewhere(processes)


def states(folder: Path) -> list[str]:
    return sorted(each.name for each in folder.iterdir() if each.is_dir())


@pytest.mark.parametrize("where", ["inline", "processes", "elsewhere"])
def test_the_best_is_found_and_nothing_is_trained_twice(
    where, climbing, processes, elsewhere, tmp_path
):
    engines = {"inline": None, "processes": processes, "elsewhere": elsewhere}
    hunt = climbing(HALVING, engine=engines[where])
    best = hunt.best
    assert hunt.settings(best.number) == {"slope": 0.6}
    assert best.curve == pytest.approx({1: 0.6, 2: 1.2, 3: 1.8, 4: 2.4})
    assert hunt.ledger.trained == 6 + 3 + 2
    assert states(tmp_path) == [f"trial-{best.number:04d}"]
    assert json.loads((tmp_path / states(tmp_path)[0] / "steps.json").read_text()) == [0.6] * 4


def test_trials_that_raise_die_or_lose_their_value_do_not_stop_the_others(
    processes, jobs, tmp_path
):
    space = Space(slope=0.5, raises_at=[None, 1], dies_at=[None, 1], nan_at=[None, 1])
    with Hunt(partial(Pruned, most=2), 8, space, sampler="grid") as hunt:
        run_trials(hunt, jobs.Climb, tmp_path, engine=processes)
    for trial in hunt.ledger.trials:
        settings = hunt.settings(trial.number)
        if settings["raises_at"]:
            assert trial.why == "MemoryError: out of memory"
        elif settings["dies_at"]:
            assert trial.why == "the worker process was killed (SIGKILL)"
        elif settings["nan_at"]:
            assert trial.why == "the compared value is nan at budget 1"
        else:
            assert trial.state == "complete"
    assert (hunt.ledger.count("failed"), hunt.ledger.count("complete")) == (7, 1)
    assert states(tmp_path) == [f"trial-{hunt.best.number:04d}"]


def test_states_lie_on_the_disk_of_a_node_no_longer_than_it_takes(
    climbing, jobs, tmp_path, monkeypatch
):
    """Its processes are ended where they stand, and nobody would clean up after them."""
    there, seen = tmp_path.with_name("there"), []
    there.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(there))
    advance, load = jobs.Climb.advance, jobs.Climb.load
    monkeypatch.setattr(
        jobs.Climb, "advance", lambda self: seen.append(list(there.iterdir())) or advance(self)
    )
    loaded = []
    monkeypatch.setattr(
        jobs.Climb, "load", lambda self, home: loaded.append(home.parent) or load(self, home)
    )
    elsewhere = Elsewhere(Inline())
    hunt = climbing(partial(Population, most=4, share=0.4), [1.0, 2.0, 3.0], engine=elsewhere)
    assert hunt.ledger.trained == 12
    assert loaded
    assert set(loaded) == {there}
    assert seen == [[]] * 12
    assert list(there.iterdir()) == []


@pytest.mark.parametrize("spare", [True, False])
def test_a_machine_that_is_lost_costs_what_was_not_kept(
    spare, climbing, elsewhere, jobs, tmp_path, monkeypatch
):
    elsewhere.most = 4 if spare else 2
    report = Hunt.report

    def losing(hunt, trial, budget, *arguments, **more):
        if budget == 2 and not lost:
            lost.append(elsewhere.actors[0])
            os.kill(lost[0].pid, signal.SIGKILL)
        return report(hunt, trial, budget, *arguments, **more)

    lost = []
    monkeypatch.setattr(Hunt, "report", losing)
    hunt = climbing(HALVING, engine=elsewhere)
    assert lost
    assert hunt.ledger.count("failed") == 0
    assert hunt.ledger.trained == 6 + 3 + 2
    home = tmp_path / f"trial-{hunt.best.number:04d}"
    assert json.loads((home / "steps.json").read_text()) == [0.6] * 4
    assert len(elsewhere.actors) == (3 if spare else 2)


def test_all_fail(climbing):
    hunt = climbing(HALVING, raises_at=1)
    assert hunt.ledger.count("failed") == 6


@pytest.mark.parametrize("away", [False, True])
def test_a_population_takes_over_states(away, climbing, elsewhere, tmp_path):
    rules = partial(Population, most=4, share=0.4)
    hunt = climbing(rules, [1.0, 2.0, 3.0], engine=elsewhere if away else None)
    assert [each.state for each in hunt.ledger.trials] == ["complete"] * 3
    weak = next(each for each in hunt.ledger.trials if each.copies)
    strong = hunt.ledger.trials[weak.source]
    assert hunt.settings(weak.number) == hunt.settings(strong.number) == {"slope": 3.0}
    assert weak.curve[4] == strong.curve[4] == 12.0
    assert len(states(tmp_path)) == 3


@pytest.mark.parametrize("at", range(1, 12, 2))
def test_stopped_in_the_middle_of_a_unit_and_called_again(at, climbing, jobs, monkeypatch):
    calls = []

    def dying(self):
        calls.append(1)
        if len(calls) == at:
            raise KeyboardInterrupt
        return advance(self)

    advance = jobs.Climb.advance
    monkeypatch.setattr(jobs.Climb, "advance", dying)
    with pytest.raises(KeyboardInterrupt):
        climbing(HALVING)
    monkeypatch.setattr(jobs.Climb, "advance", advance)
    hunt = climbing(HALVING)
    assert hunt.ledger.trained == 6 + 3 + 2
    assert hunt.best.curve[4] == pytest.approx(2.4)


def test_killed_with_its_workers_and_called_again(jobs, tmp_path):
    here = str(Path(__file__).parent)
    script = tmp_path / "search.py"
    script.write_text(jobs.SCRIPT.format(here=here, folder=str(tmp_path / "study")))
    killed = subprocess.run([sys.executable, script, JOURNAL, "7"], check=False)
    assert killed.returncode == -signal.SIGKILL
    subprocess.run([sys.executable, script], check=True)
    space = Space(slope=SLOPES, seconds=0.05)
    with Hunt(HALVING, 6, space, sampler="grid", folder=tmp_path / "study") as hunt:
        assert hunt.finished
        assert hunt.ledger.trained == 6 + 3 + 2
        assert hunt.best.curve[4] == pytest.approx(2.4)
        assert states(tmp_path / "study") == [f"trial-{hunt.best.number:04d}"]


def test_nonsense_is_refused(climbing, jobs, tmp_path):
    with pytest.raises(UsageError, match=r"^expected at least 1 worker, found 0$"):
        run_trials(Hunt(HALVING, 2, Space()), jobs.Climb, tmp_path, workers=0)

    class Stuck(Pruned):
        def next(self, free):
            return []

    with pytest.raises(TrainError, match=r"^the controller waits, but no trial runs$"):
        climbing(partial(Stuck, most=1))
