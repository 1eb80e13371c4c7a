import asyncio
import logging

import msgspec
import pytest

from gristmill.serve.runners.rows import Rows
from gristmill.serve.watch.drift import DriftWatch
from gristmill.serve.watch.metrics import Metrics
from gristmill.serve.watch.served_profile import ServedProfile


@pytest.fixture
def watch(statistician, hours, tmp_path):
    profile = ServedProfile(statistician, tmp_path / "served", clock=hours)
    return DriftWatch("spam", profile, every=0.01, compare_every=2)


def serve(watch, *values):
    for value in values:
        watch.observe(Rows({"x": [value]}), Rows({"y": ["a"]}))


def test_what_is_served_is_compared_and_told(watch, tmp_path):
    serve(watch, *["even"] * 6, *["odd"] * 4)
    asyncio.run(watch.round())
    report = watch.report()
    assert (report.served, report.profiled, report.alarms, report.hours) == (10, 10, 1, 24)
    assert report.compared == 20  # the statistician counts values
    assert [(each.feature, each.distance) for each in report.distances] == [("x", 0.2), ("y", 0.0)]
    assert [each.message for each in report.changes] == ["x is odd"]
    assert msgspec.json.decode(msgspec.json.encode(report))["kept"] == ["2023-11-14T22"]
    metrics = Metrics()
    metrics.add_source(watch.samples)
    lines = metrics.text().splitlines()
    assert 'gristmill_drift_distance{model="spam",feature="x"} 0.2' in lines
    assert 'gristmill_drift_alarm{model="spam",feature="x"} 1' in lines
    assert 'gristmill_drift_alarm{model="spam",feature="y"} 0' in lines
    assert 'gristmill_drift_changes{model="spam",severity="warning"} 1' in lines
    assert 'gristmill_drift_rows{model="spam"} 20' in lines
    assert 'gristmill_served_rows_total{model="spam"} 10' in lines
    assert len(list((tmp_path / "served").rglob("counts.json"))) == 1


def test_before_the_first_comparison_there_is_nothing_to_tell(watch):
    assert watch.report().distances == []
    assert {sample.name for sample in watch.samples()} == {
        "gristmill_served_rows_total",
        "gristmill_profiled_rows_total",
        "gristmill_drift_failures_total",
    }


def test_it_watches_by_itself_and_saves_at_the_end(watch, tmp_path):
    async def run():
        watch.start()
        serve(watch, "odd")
        while watch.compared is None:
            await asyncio.sleep(0.01)
        serve(watch, "even")
        await watch.stop()
        return len(asyncio.all_tasks())

    assert asyncio.run(run()) == 1
    assert watch.report().profiled == 2
    assert len(list((tmp_path / "served").rglob("counts.json"))) == 1


def test_some_rounds_only_profile(watch, tmp_path):
    serve(watch, "odd")
    asyncio.run(watch.round(compare=False))
    assert (watch.compared, watch.report().profiled) == (None, 1)
    assert list(tmp_path.rglob("counts.json")) == []


def test_two_reports_in_a_second_are_one_comparison(watch, statistician):
    async def run():
        for value in ("even", "odd"):
            serve(watch, value)
            await watch.refresh()
        return watch.report()

    report = asyncio.run(run())
    assert (report.served, report.alarms) == (1, 0)


def test_an_alarm_is_told_once_an_hour_while_it_lasts(watch, hours, caplog):
    caplog.set_level(logging.WARNING, "gristmill.serve")
    for wait in (0, 0, 1, 0):
        hours.pass_(wait)
        serve(watch, "odd")
        asyncio.run(watch.round())
    expected = "drift of spam: x: x is odd; see /v1/drift"
    assert [record.getMessage() for record in caplog.records] == [expected] * 2


def test_a_distance_alone_is_told_in_words(watch, statistician, caplog):
    caplog.set_level(logging.WARNING, "gristmill.serve")
    statistician.tells = False
    serve(watch, "odd")
    asyncio.run(watch.round())
    said = "drift of spam: x: values lie 0.50 from those of training; see /v1/drift"
    assert caplog.messages == [said]


def test_what_cannot_be_profiled_is_counted_and_ends_nothing(watch, statistician):
    statistician.fails = True
    serve(watch, "odd")
    asyncio.run(watch.round())
    statistician.fails = False
    serve(watch, "odd")
    asyncio.run(watch.round())
    assert watch.failures == 1
    assert watch.report().alarms == 1


def test_what_cannot_be_sampled_does_not_end_the_request(watch):
    watch.observe(Rows({"x": {"no": "row"}}, 1), Rows({}, 1))
    assert watch.failures == 1


def test_nothing_served_is_nothing_compared(watch):
    asyncio.run(watch.round())
    assert watch.compared is None
    assert watch.failures == 0


def test_what_was_served_before_a_restart_is_compared_at_once(watch, statistician, hours, tmp_path):
    serve(watch, "odd", "even")
    asyncio.run(watch.round())
    profile = ServedProfile(statistician, tmp_path / "served", clock=hours)
    again = DriftWatch("spam", profile)
    asyncio.run(again.round())
    assert (again.report().served, again.report().compared) == (0, 4)
