"""The whole loop: drift, a retraining in a process of its own, its gate, what answers then."""

from __future__ import annotations

import signal

import polars as pl
import pytest
from tests.pipeline.monitoring.conftest import DAY, NOW, PIPELINE, all_columns, rows

from gristmill.pipeline.monitoring.looking import monitor
from gristmill.pipeline.monitoring.monitor_plan import MonitorPlan
from gristmill.pipeline.monitoring.retraining import LOCK, Order, begin, wait_for
from gristmill.serve.routing.registry_watcher import registered_bundle
from gristmill.store.monitorings import Monitorings
from gristmill.store.registry import Registry

PLAN = MonitorPlan(on_drift="retrain", cool_down="2d", budget="3 per 30d")


def write_table(shop, shift=1.5, **more):
    frame = pl.DataFrame(rows(2000, 4, shift)).with_columns(
        **{name: pl.lit(value) for name, value in more.items()}
    )
    frame.write_csv(shop.project.root / "table.csv")


@pytest.fixture
def drifting(served_shop):
    shop = served_shop(1.5)
    (shop.project.root / "pipeline.py").write_text(PIPELINE)
    return shop


def log_of(shop):
    return [entry.action for entry in Monitorings(shop.project).history("spam")]


def test_drift_is_learned_and_the_next_look_is_quiet(drifting, capfd):
    project = drifting.project
    write_table(drifting, good=1)
    found = monitor(project, PLAN, now=NOW)
    assert (found.version, found.action.kind, found.exit_code) == (1, "retrain", 0)
    assert found.outcome.action == "promoted"
    assert found.outcome.reasons[0] == "version 2: promote"
    assert found.outcome.run is not None
    assert Registry(project).live("spam").version == 2
    assert "released" in capfd.readouterr().err
    assert not project.is_locked(LOCK)

    second = registered_bundle(project, Registry(project).version("spam", 2))
    drifting.date(NOW + 60)
    drifting.serve(second, all_columns(1000, 5, 1.5), at=NOW + 3600)
    quiet = monitor(project, PLAN, now=NOW + 3600)
    assert (quiet.version, quiet.exit_code, quiet.report.findings) == (2, 0, [])
    assert quiet.action.kind == "none"

    drifting.serve(second, all_columns(3000, 6, 4.0), at=NOW + DAY)
    again = monitor(project, PLAN, now=NOW + DAY)
    assert (again.action.kind, again.exit_code) == ("wait", 3)
    assert "cooling down" in again.action.reasons[0]
    assert log_of(drifting) == ["retrain", "promoted", "none", "wait"]

    impatient = MonitorPlan(on_drift="retrain", cool_down=0, force=("gate",))
    young = monitor(project, impatient, now=NOW + DAY, dry_run=True)
    assert "less than the 24 hours that are compared" in young.action.reasons[0]
    vain = monitor(project, impatient, now=NOW + DAY + 60)
    assert (vain.outcome.action, vain.exit_code) == ("kept", 4)
    assert "up to date: the pipeline found nothing new; gather" in vain.outcome.reasons[0]


def test_what_the_gate_keeps_out_does_not_begin_again_at_once(drifting):
    write_table(drifting)
    found = monitor(drifting.project, PLAN, now=NOW)
    assert (found.outcome.action, found.exit_code) == ("kept", 4)
    assert "gate said reject" in found.outcome.reasons[0]
    assert Registry(drifting.project).live("spam").version == 1
    waits = monitor(drifting.project, PLAN, now=NOW + 3600)
    assert waits.action.kind == "wait"
    assert "cooling down until" in waits.action.reasons[0]
    assert waits.exit_code == 3


def test_a_pipeline_that_fails_is_on_record_and_counts(drifting):
    (drifting.project.root / "pipeline.py").write_text("1 / 0")
    plan = MonitorPlan(on_drift="retrain", cool_down=0, budget="1 per 30d")
    found = monitor(drifting.project, plan, now=NOW)
    assert (found.outcome.action, found.exit_code) == ("failed", 6)
    assert "ZeroDivisionError" in found.outcome.reasons[0]
    assert found.outcome.run is None
    spent = monitor(drifting.project, plan, now=NOW + 3600)
    assert "the budget of 1 per 30d is used up" in spent.action.reasons[0]


def test_without_drift_nothing_is_begun(served_shop):
    shop = served_shop(0.0)
    (shop.project.root / "pipeline.py").write_text(PIPELINE)
    for hour in range(5):
        found = monitor(shop.project, PLAN, now=NOW + 3600 * hour)
        assert (found.action.kind, found.exit_code) == ("none", 0)
    assert log_of(shop) == ["none"] * 5


def test_a_dry_run_leaves_no_trace(drifting):
    found = monitor(drifting.project, PLAN, now=NOW, dry_run=True)
    assert (found.action.kind, found.outcome) == ("retrain", None)
    assert log_of(drifting) == []


SLOW = PIPELINE.replace(
    "    return pl.read_csv(source)",
    """    import time
    (HERE / "reading").touch()
    while not (HERE / "go").exists():
        time.sleep(0.02)
    return pl.read_csv(source)""",
)


@pytest.fixture
def under_way(drifting):
    """A retraining that waits in its first step, begun by nobody who is still there."""
    from pathlib import Path
    from time import sleep

    root: Path = drifting.project.root
    (root / "pipeline.py").write_text(SLOW)
    write_table(drifting, good=1)
    log = Monitorings(drifting.project)
    with drifting.project.lock(LOCK, wait=False) as lock:
        log.add("spam", "retrain", ["drift"], version=1, at=NOW)
        before = signal.signal(signal.SIGINT, signal.SIG_IGN)  # as where a shell began it with &
        process = begin(
            Order(
                root=str(root), model="spam", alias="champion", version=1, ahead=0.0,
                pipeline="pipeline.py",
            ),
            lock,
        )  # fmt: skip
        signal.signal(signal.SIGINT, before)
    while not (root / "reading").exists():
        assert process.poll() is None
        sleep(0.02)
    yield drifting, process
    process.kill()
    process.wait()


def test_one_at_a_time_and_its_end_is_on_record_though_who_began_it_is_gone(under_way):
    shop, process = under_way
    waits = monitor(shop.project, PLAN, now=NOW)
    assert (waits.action.kind, waits.action.reasons) == ("wait", ["a retraining is under way"])
    (shop.project.root / "go").touch()
    process.wait()
    assert log_of(shop) == ["retrain", "wait", "promoted"]
    assert Registry(shop.project).live("spam").version == 2


def test_one_that_was_killed_goes_on_at_the_next_look(under_way):
    shop, process = under_way
    process.kill()
    process.wait()
    (shop.project.root / "go").touch()
    found = monitor(shop.project, PLAN, now=NOW + 60)
    assert "the last retraining was broken off: it goes on" in found.action.reasons
    assert found.outcome.action == "promoted"
    assert log_of(shop) == ["retrain", "retrain", "promoted"]


def test_one_that_is_no_longer_wanted_stops_and_leaves_no_end(under_way):
    shop, process = under_way
    wait_for(process, lambda: True)
    assert process.returncode == 130
    assert log_of(shop) == ["retrain"]
    assert not shop.project.is_locked(LOCK)
