"""Drift of inputs and answers, and what does not move at all: false alarms over many quiet days."""

from __future__ import annotations

import datetime as dt

import polars as pl
import pytest
from tests.pipeline.monitoring.conftest import DAY, NOW, Kept, all_columns, answers

from gristmill.core.errors import StoreError, UsageError
from gristmill.pipeline.monitoring.answered_rows import AnsweredRows
from gristmill.pipeline.monitoring.drifting import drift_report
from gristmill.pipeline.monitoring.looking import judged, monitor
from gristmill.pipeline.monitoring.monitor_plan import MonitorPlan
from gristmill.pipeline.monitoring.seen import look
from gristmill.store.registry import Registry

PLAN = MonitorPlan()


def found_in(shop, plan=PLAN, now=NOW):
    report = judged(look(shop.project, "spam", plan, shop.served, now), plan)
    return {(each.code, each.feature) for each in report.findings}


def test_many_quiet_days_raise_no_alarm(shop) -> None:
    from dataclasses import replace

    bundle = shop.bundle("one")
    shop.release(bundle)
    shop.served.mkdir(parents=True)
    seen = look(shop.project, "spam", PLAN, shop.served, NOW)
    for day in range(40):
        # From days of few rows, where chance is wide, to days of many.
        columns = all_columns(200 + 50 * day, 1000 + day)
        served = replace(seen, statistics=seen.statistician.profile(columns))
        assert drift_report(served, PLAN, "quiet").findings == []


def test_inputs_and_answers_that_have_moved(served_shop) -> None:
    assert found_in(served_shop(1.0)) == {("drift", "age")}


def test_answers_alone(served_shop) -> None:
    shop = served_shop(0.0, spam=0.6)
    assert found_in(shop) == {("prediction_drift", "prediction.label")}


def test_a_fault_is_called_one_and_says_what_to_do(shop) -> None:
    bundle = shop.bundle("one")
    shop.release(bundle)
    shop.serve(bundle, all_columns(1000, 3) | {"age": [40.0] * 1000})
    report = judged(look(shop.project, "spam", PLAN, shop.served, NOW), PLAN)
    (found,) = report.findings
    assert (found.code, found.feature, found.edit) == ("constant_column", "age", None)
    assert "a model must not learn this" in found.fix
    assert "fix: mend the data" in str(report)


def test_hours_of_all_servers_count_and_older_ones_do_not(shop) -> None:
    bundle = shop.bundle("one")
    shop.release(bundle)
    shop.serve(bundle, all_columns(600, 3, shift=5.0), at=NOW - DAY - 3600)
    for number in range(2):
        shop.serve(bundle, all_columns(300, number), NOW - 3600 * number, f"server-{number + 1}")
    found = monitor(shop.project, PLAN, served=shop.served, now=NOW)
    assert (found.report.checked_rows, found.report.findings) == (600, [])


def test_rows_that_pass_under_two_names_count_once(shop) -> None:
    bundle = shop.bundle("one")
    shop.release(bundle)
    shop.serve(bundle, all_columns(600, 3))
    shop.serve(bundle, all_columns(500, 3), name="route")
    assert look(shop.project, "spam", PLAN, shop.served, NOW).rows == 600


def test_answers_that_are_all_alike_are_no_fault_of_the_data(served_shop) -> None:
    assert found_in(served_shop(0.0, spam=0.0)) == {("prediction_drift", "prediction.label")}


def test_an_hour_that_cannot_be_read_is_left_out_and_told(shop) -> None:
    bundle = shop.bundle("one")
    shop.release(bundle)
    shop.serve(bundle, all_columns(600, 3), NOW - 3600)
    shop.serve(bundle, all_columns(600, 4))
    (place,) = shop.served.glob("*/2026-09-21T13/server")
    (place / "statistics.json").write_text("{")
    found = monitor(shop.project, PLAN, served=shop.served, now=NOW)
    assert found.report.checked_rows == 600
    assert [each.code for each in found.report.findings] == ["damaged_hours"]


def test_of_another_bundle_nothing_is_taken(shop) -> None:
    old, new = shop.bundle("one"), shop.bundle("two", 0.1)
    shop.release(old)
    shop.release(new, NOW - 60)
    shop.serve(old, all_columns(600, 3, shift=5.0))
    assert found_in(shop) == {("few_served", None)}


def test_answers_that_the_bundle_does_not_know_are_compared_with_the_first(shop) -> None:
    bundle = shop.bundle("one", with_answers=False)
    shop.release(bundle)
    shop.served.mkdir(parents=True)
    seen = look(shop.project, "spam", PLAN, shop.served, NOW)

    def kept(spam):
        rows = []
        for begin, share in ((NOW - 20 * DAY, 0.3), (NOW - 3600, spam)):
            said = answers(400, int(begin), share)
            rows += [
                Kept(begin + number, {"label": label, "prob": prob, "probs": {}})
                for number, (label, prob) in enumerate(
                    zip(said["label"], said["prob"], strict=True)
                )
            ]
        return AnsweredRows.of(rows)

    from dataclasses import replace

    calm = drift_report(replace(seen, answered=kept(0.3)), PLAN, "m").findings
    assert [each.code for each in calm] == ["few_served"]
    _, found = drift_report(replace(seen, answered=kept(0.7)), PLAN, "m").findings
    assert (found.code, found.feature) == ("prediction_drift", "prediction.label")
    assert found.message.startswith("against the first hours of answers:")


def test_what_does_not_move(shop) -> None:
    bundle = shop.bundle("one")
    shop.release(bundle, NOW - 10 * DAY)
    shop.serve(bundle, all_columns(300, 1), NOW - 3 * DAY)
    few = ("few_served", None)
    assert found_in(shop) == {few, ("nothing_served", None)}
    old = MonitorPlan(stale_after="9d", silent_after="5d")
    assert found_in(shop, old) == {few, ("stale_model", None)}
    assert found_in(shop, MonitorPlan(stale_after="11d", silent_after="5d")) == {few}


def test_a_version_that_just_began_to_answer_need_not_have_been_asked(shop) -> None:
    shop.release(shop.bundle("one"), NOW - 3600)
    shop.served.mkdir(parents=True)
    assert found_in(shop) == {("few_served", None)}


def test_in_its_first_minute_a_version_cannot_have_been_asked(shop) -> None:
    shop.release(shop.bundle("one"), NOW - 59)
    shop.served.mkdir(parents=True)
    assert found_in(shop) == set()


def test_a_bundle_that_does_not_say_what_it_learned_from_is_called_so(shop) -> None:
    shop.release(shop.template)
    shop.served.mkdir(parents=True)
    report = judged(look(shop.project, "spam", PLAN, shop.served, NOW), PLAN)
    assert [each.code for each in report.findings] == ["nothing_served", "not_comparable"]
    assert "training_profile" in report.findings[1].fix


def test_data_whose_newest_time_is_old(shop) -> None:
    from dataclasses import replace

    from gristmill.pipeline.monitoring.staleness import staleness_found
    from gristmill.pipeline.served_statistics import ServedStatistics
    from gristmill.validate import profile

    shop.release(shop.bundle("one"), NOW)
    shop.served.mkdir(parents=True)
    times = pl.datetime_range(
        dt.datetime(2026, 1, 1), dt.datetime(2026, 2, 1), "1h", eager=True
    ).alias("when")
    known = ServedStatistics(None, profile(times.to_frame()))
    seen = replace(look(shop.project, "spam", PLAN, shop.served, NOW), statistician=known)
    newest = dt.datetime(2026, 2, 1, tzinfo=dt.UTC).timestamp()
    fresh, old = (MonitorPlan(stale_after=NOW - newest + off) for off in (60.0, -60.0))
    assert [each.code for each in staleness_found(seen, fresh)] == []
    assert [each.code for each in staleness_found(seen, old)] == ["stale_data"]


def test_truth_that_is_late(shop) -> None:
    from dataclasses import replace

    from gristmill.pipeline.monitoring.staleness import staleness_found

    shop.release(shop.bundle("one"), NOW)
    shop.served.mkdir(parents=True)
    seen = look(shop.project, "spam", PLAN, shop.served, NOW)
    plan = MonitorPlan(truth_after="2d")

    def late(*rows):
        answered = AnsweredRows.of(rows)
        return [each.code for each in staleness_found(replace(seen, answered=answered), plan)]

    assert late(Kept(NOW - DAY)) == []
    assert late(Kept(NOW - 3 * DAY), Kept(NOW - 3 * DAY, truth="ham")) == []
    assert late(Kept(NOW - 3 * DAY)) == ["late_truth"]
    untold = [Kept(NOW - 3 * DAY)] * 10
    older = [Kept(NOW - 5 * DAY, truth="ham")] * 20
    assert late(*older, *untold) == ["late_truth"]
    # Where it is told of some alone, there may be none among few.
    assert late(*older, *untold[:1]) == []
    assert late(*older[:1], *[Kept(NOW - 5 * DAY)] * 50, *untold) == []
    assert late(*older[:10], *[Kept(NOW - 5 * DAY)] * 10, *untold * 3) == ["late_truth"]


def test_truth_from_the_log_that_the_server_writes(served_shop) -> None:
    import numpy as np

    from gristmill.serve.runners.labels import ClassRows
    from gristmill.serve.runners.rows import Rows
    from gristmill.serve.watch.kept_predictions import kept_predictions, served_folder
    from gristmill.serve.watch.prediction_log import PredictionLog
    from gristmill.serve.watch.telling import tell_truths

    shop = served_shop()
    live = look(shop.project, "spam", PLAN, shop.served, NOW).bundle
    folder = served_folder(shop.served, "spam")
    spam = np.linspace(0.05, 0.95, 300)
    with PredictionLog(folder, classes=live.classes, clock=lambda: NOW - 60) as log:
        for version, count in ((live.fingerprint, 300), ("another", 50)):
            rows = Rows({"age": spam[:count] * 0, "country": ["de"] * count})
            probs = np.column_stack([1 - spam[:count], spam[:count]])
            keys = [f"{version[:4]}-{number}" for number in range(count)]
            log.note(log.name(version), version, rows, ClassRows(live.classes, probs), keys)
    named = [each.name for each in kept_predictions(folder) if each.version != "another"]
    tell_truths(folder, dict.fromkeys(named[:200], "spam"), who="ada")
    found = monitor(shop.project, PLAN, served=shop.served, now=NOW)
    assert (found.predictions, found.truths) == (300, 200)
    (loss,) = [each for each in found.report.findings if each.code == "quality_loss"]
    assert "on 200 predictions whose truth is known; it was 0.900 at the gate" in loss.message


def test_who_is_not_there_is_said(shop) -> None:
    with pytest.raises(UsageError, match="found none named") as caught:
        monitor(shop.project, PLAN)
    assert "none is registered" in caught.value.fix
    with pytest.raises(UsageError, match="there is no model 'ham'"):
        monitor(shop.project, MonitorPlan(model="ham"))
    bundle = shop.bundle("one")
    shop.release(bundle)
    with pytest.raises(UsageError, match="no version of 'spam' is its 'candidate'"):
        monitor(shop.project, MonitorPlan(alias="candidate"))
    with pytest.raises(StoreError, match="expected the folder of what was served") as missing:
        monitor(shop.project, PLAN)
    assert "--watch-folder" in missing.value.fix
    Registry(shop.project).register("other", Registry(shop.project).version("spam", 1).artifact)
    with pytest.raises(UsageError, match="found none named"):
        monitor(shop.project, PLAN)


@pytest.mark.parametrize(
    ("plan", "file", "place"),
    [
        (MonitorPlan(), None, "serving/served"),
        (MonitorPlan(served="there"), None, "there"),
        (MonitorPlan(serving="s.toml"), "s.toml", "elsewhere/served"),
        (MonitorPlan(), "serving.toml", "elsewhere/served"),
    ],
)
def test_where_what_was_served_lies(plan, file, place, tmp_path) -> None:
    if file:
        text = 'folder = "elsewhere"\n[models.spam]\nregistry = "spam"\n'
        (tmp_path / file).write_text(text)
    assert plan.served_folder(tmp_path) == tmp_path / place
