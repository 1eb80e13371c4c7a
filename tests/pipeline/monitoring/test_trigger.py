"""When a finding begins a retraining, and that it can't thrash."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.pipeline.monitoring.conftest import DAY, NOW

from gristmill.pipeline.monitoring.findings import finding
from gristmill.pipeline.monitoring.monitor_plan import MonitorPlan
from gristmill.pipeline.monitoring.trigger import triggered
from gristmill.store.monitorings import Monitoring
from gristmill.validate.checks.findings import Finding

DRIFT = Finding("drift", "error", "age", "moved")
LOSS = finding("quality_loss", "worse")
FAULT = Finding("unit_change", "error", "price", "in cents")
PLAN = MonitorPlan(on_drift="retrain", cool_down="1d", budget="4 per 30d")


def line(action, at, *findings):
    told = [{"code": each.code, "feature": each.feature} for each in findings]
    return Monitoring("m", 1, at, action, [], told)


def attempt(end, at, *findings):
    """A retraining that took an hour."""
    return [line("retrain", at, *findings), line(end, at + 3600, *findings)]


def test_only_what_newer_data_cure_calls_for_a_retraining() -> None:
    assert triggered([], [], PLAN, NOW).kind == "none"
    assert triggered([finding("nothing_served", "silence")], [], PLAN, NOW).kind == "none"
    begun = triggered([DRIFT, LOSS], [], PLAN, NOW)
    assert (begun.kind, begun.reasons) == ("retrain", ["drift of age, quality_loss"])
    assert begun.findings == [DRIFT, LOSS]


def test_telling_is_the_usual_thing() -> None:
    told = triggered([DRIFT], [], MonitorPlan(), NOW)
    assert told.kind == "none"
    assert 'told, as on_drift is "tell"' in told.reasons[0]


def test_a_fault_of_the_data_is_not_learned() -> None:
    waits = triggered([DRIFT, FAULT], [], PLAN, NOW)
    assert waits.kind == "wait"
    assert "a fault that would be learned (unit_change of price)" in waits.reasons[0]
    assert triggered([FAULT], [], PLAN, NOW).kind == "none"
    careless = MonitorPlan(on_drift="retrain", hold_on=())
    assert triggered([DRIFT, FAULT], [], careless, NOW).kind == "retrain"


def test_the_cool_down_counts_from_the_end() -> None:
    history = attempt("promoted", NOW, DRIFT)
    assert triggered([DRIFT], history, PLAN, NOW + 3600 + DAY - 1).kind == "wait"
    assert triggered([DRIFT], history, PLAN, NOW + 3600 + DAY).kind == "retrain"


def test_what_a_wrong_clock_wrote_does_not_hold_retrainings_back() -> None:
    ahead = attempt("kept", NOW + 30 * DAY, DRIFT)
    assert triggered([DRIFT], ahead, PLAN, NOW).kind == "retrain"
    both = [*ahead, *attempt("promoted", NOW, DRIFT)]
    assert triggered([DRIFT], both, PLAN, NOW + DAY).kind == "wait"


def test_what_came_to_nothing_waits_twice_as_long_each_time_unless_it_is_new() -> None:
    history = attempt("kept", NOW, DRIFT)
    end = NOW + 3600
    waits = triggered([DRIFT], history, PLAN, end + 1.9 * DAY)
    assert "the last retraining for it came to nothing" in waits.reasons[0]
    assert triggered([DRIFT, LOSS], history, PLAN, end + 1.1 * DAY).kind == "retrain"
    assert triggered([DRIFT], history, PLAN, end + 2 * DAY).kind == "retrain"
    history += attempt("failed", end + 2 * DAY, DRIFT)
    end += 2 * DAY + 3600
    assert triggered([DRIFT], history, PLAN, end + 3.9 * DAY).kind == "wait"
    assert triggered([DRIFT], history, PLAN, end + 4 * DAY).kind == "retrain"
    history += attempt("promoted", end + 4 * DAY, DRIFT)
    assert triggered([DRIFT], history, PLAN, end + 5.1 * DAY).kind == "retrain"


def test_the_budget_is_kept_and_says_when_there_is_more() -> None:
    plan = MonitorPlan(on_drift="retrain", cool_down=0, budget="2 per 10d")
    history = [*attempt("promoted", NOW, DRIFT), *attempt("failed", NOW + DAY, DRIFT)]
    waits = triggered([DRIFT], history, plan, NOW + 9 * DAY)
    assert "the budget of 2 per 10d is used up until" in waits.reasons[0]
    assert triggered([DRIFT], history, plan, NOW + 10 * DAY).kind == "retrain"
    never = MonitorPlan(on_drift="retrain", budget="0 per 1d")
    assert "the budget allows none" in triggered([DRIFT], [], never, NOW).reasons[0]


def test_drift_waits_until_the_version_has_answered_for_the_hours_that_are_compared() -> None:
    plan = MonitorPlan(on_drift="retrain", hours=48)
    answers_differ = finding("prediction_drift", "moved", feature="prediction.label")
    for calling in ([DRIFT], [DRIFT, answers_differ]):
        young = triggered(calling, [], plan, NOW + 2 * DAY - 1, since=NOW)
        assert young.kind == "wait"
        assert "less than the 48 hours that are compared, so not before" in young.reasons[0]
        assert triggered(calling, [], plan, NOW + 2 * DAY, since=NOW).kind == "retrain"
    # What the truth tells, or age, is no matter of the hour.
    assert triggered([DRIFT, LOSS], [], plan, NOW + 1, since=NOW).kind == "retrain"
    # A clock that was wrong holds nothing back.
    assert triggered([DRIFT], [], plan, NOW, since=NOW + DAY).kind == "retrain"


def test_one_at_a_time() -> None:
    assert triggered([DRIFT], [], PLAN, NOW, under_way=True).kind == "wait"


def test_one_that_was_broken_off_goes_on_once() -> None:
    once = [line("retrain", NOW, DRIFT)]
    begun = triggered([DRIFT], once, PLAN, NOW + 60)
    assert begun.reasons[1] == "the last retraining was broken off: it goes on"
    twice = [*once, line("retrain", NOW + 60, DRIFT)]
    assert triggered([DRIFT], twice, PLAN, NOW + 120).kind == "wait"
    assert triggered([], once, PLAN, NOW + 60).kind == "none"


@given(
    st.lists(
        st.tuples(
            st.floats(0, 3 * DAY),
            st.sampled_from(["promoted", "kept", "failed", None]),
            st.sampled_from([(DRIFT,), (LOSS,), (DRIFT, LOSS), ()]),
        ),
        max_size=60,
    )
)
def test_it_cannot_thrash(looks) -> None:
    """Whatever is found and however it ends: the budget is kept, and so is the cool-down."""
    history, now = [], NOW
    for pause, end, findings in looks:
        now += pause
        if triggered(findings, history, PLAN, now).kind == "retrain":
            history.append(line("retrain", now, *findings))
            if end is not None:
                history.append(line(end, now, *findings))
    begun = [each for each in history if each.action == "retrain"]
    for number, each in enumerate(begun):
        recent = [one for one in begun[: number + 1] if one.at > each.at - 30 * DAY]
        assert len(recent) <= 4
    for one, two, three in zip(begun, begun[1:], begun[2:], strict=False):
        assert three.at - one.at >= DAY  # one that was broken off may go on at once
        assert two.at >= one.at


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ({"modle": "x"}, "unknown key 'modle'"),
        ({"hours": "a"}, "hours: expected `int`, found `str`"),
        ({"hours": 0}, "hours: expected at least 1, found 0"),
        ({"on_drift": "x"}, "on_drift: expected tell or retrain, found 'x'"),
        ({"cool_down": "5 parsecs"}, "unknown unit 'parsecs'"),
        ({"cool_down": -1}, "cool_down: expected a duration, found -1"),
        ({"budget": "4"}, "expected a budget such as '4 per 30d', found '4'"),
        ({"budget": "4 per 0d"}, "expected a budget over some time"),
        ({"retrain_on": ["drfit"]}, "did you mean 'drift'"),
        ({"alias": "9"}, "expected an alias"),
        ({"metric": "acc"}, "metric: unknown 'acc'"),
        ({"max_loss": -1}, "max_loss: expected at least 0"),
        ({"served": "a", "serving": "b"}, "expected either served or serving, found both"),
    ],
)
def test_a_mistake_in_the_settings_is_told_in_words(table, words) -> None:
    from gristmill.core.errors import UsageError

    with pytest.raises(UsageError) as caught:
        MonitorPlan.parse(table)
    assert words in str(caught.value)
    assert caught.value.where == "gristmill.toml, [monitor]"
