"""Quality and calibration from truth that has come in: no alarm under no change, one under one."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from tests.pipeline.monitoring.conftest import NOW, Kept

from gristmill.pipeline.monitoring.answered_rows import AnsweredRows
from gristmill.pipeline.monitoring.confidence import calibration_found
from gristmill.pipeline.monitoring.monitor_plan import MonitorPlan
from gristmill.pipeline.monitoring.quality import quality_found, truths_found
from gristmill.pipeline.monitoring.seen import Seen
from gristmill.store.decision import Decision

CLASSES = ["ham", "spam"]
PLAN = MonitorPlan()


def seen(rows, evidence=None, metrics=None, classes=tuple(CLASSES)):
    """What was seen of a model that is good to see: kept predictions alone count here."""
    judged = evidence and Decision("m", 1, "promote", [], "gate", NOW, evidence=evidence)
    manifest = SimpleNamespace(metrics=metrics or {})
    return Seen(
        version=None, promoted=None, judged=judged or None,
        bundle=SimpleNamespace(classes=list(classes), manifest=manifest),
        statistician=None, statistics=None, damaged=0, newest=None,
        answered=AnsweredRows.of(rows), now=NOW,
    )  # fmt: skip


def predicted(count, seed, *, surer=0.0):
    """Answers of a classifier that is right as often as it says, less `surer`."""
    generator = np.random.default_rng(seed)
    spam = generator.beta(0.5, 0.8, count)
    said = spam > 0.5
    prob = np.where(said, spam, 1 - spam)
    right = generator.random(count) < prob - surer
    return [
        Kept(
            at=NOW - 3600,
            answer={
                "label": CLASSES[int(each)],
                "prob": float(p),
                "probs": {"spam": float(s), "ham": float(1 - s)},
            },
            truth=CLASSES[int(each == hit)],
        )
        for each, p, s, hit in zip(said, prob, spam, right, strict=True)
    ]


def at_gate(metric, seed, rows=1000, **more):
    """What a gate would have written down of such a model."""
    from gristmill.pipeline.monitoring.quality import figure_now
    from gristmill.pipeline.monitoring.reference import Reference

    answered = AnsweredRows.of(predicted(rows, seed))
    figure = figure_now(answered, Reference(metric), CLASSES).value
    return {"metric": metric, "positive": 1, "rows": rows, "figure": figure, **more}


def codes(found):
    return [each.code for each in found]


@pytest.mark.parametrize("metric", ["accuracy", "f1", "auc", "log_loss", "brier"])
def test_many_quiet_days_raise_no_alarm_and_a_bad_one_does(metric) -> None:
    evidence = at_gate(metric, 10_000)
    for day in range(40):
        quiet = seen(predicted(500, day), evidence)
        assert codes([*quality_found(quiet, PLAN), *calibration_found(quiet, PLAN)]) == []
    for day in range(5):
        bad = seen(predicted(500, day, surer=0.25), evidence)
        found = [*quality_found(bad, PLAN), *calibration_found(bad, PLAN)]
        assert codes(found) == ["quality_loss", "miscalibrated"]
        assert "at the gate" in found[0].message


def test_a_loss_that_is_small_or_that_chance_makes_is_none() -> None:
    worse = seen(predicted(8000, 1, surer=0.03), at_gate("accuracy", 2, 8000))
    assert codes(quality_found(worse, PLAN)) == []
    strict = MonitorPlan(max_loss=0.005)
    assert codes(quality_found(worse, strict)) == ["quality_loss"]
    few = predicted(120, 3, surer=0.05)
    assert codes(quality_found(seen(few, at_gate("accuracy", 2)), strict)) == []


def test_a_floor_is_held_whatever_it_was() -> None:
    rows = predicted(1000, 4)
    plan = MonitorPlan(floor=0.95, metric="accuracy")
    (found,) = quality_found(seen(rows), plan)
    assert found.code == "quality_loss"
    assert "beyond the floor of 0.95" in found.message
    (found,) = quality_found(seen(rows), MonitorPlan(floor=0.1, metric="brier"))
    assert "ceiling" in found.message


def test_without_a_figure_to_compare_with_it_is_told_as_it_is() -> None:
    (found,) = quality_found(seen(predicted(500, 5)), PLAN)
    assert (found.code, found.severity) == ("not_comparable", "info")
    assert "neither the gate nor the bundle says what it was" in found.message
    bad = seen(predicted(500, 5, surer=0.3), metrics={"accuracy": 0.85})
    (found,) = quality_found(bad, PLAN)
    assert "it was 0.850 in the bundle" in found.message


def test_of_few_truths_nothing_is_said_but_that() -> None:
    rows = predicted(500, 6, surer=0.5)
    partly = [*rows[:99], *(Kept(each.at, each.answer) for each in rows[99:])]
    few = seen(partly, at_gate("accuracy", 7))
    assert codes(quality_found(few, PLAN)) == codes(calibration_found(few, PLAN)) == []
    (found,) = truths_found(few, PLAN)
    assert (found.code, found.evidence.count, found.evidence.total) == ("few_truths", 99, 500)
    assert codes(truths_found(seen([]), PLAN)) == []


def test_truth_that_comes_for_some_answers_is_said() -> None:
    rows = predicted(4000, 8)
    spam_alone = [
        each if each.answer["label"] == "spam" or number % 20 == 0 else Kept(each.at, each.answer)
        for number, each in enumerate(rows)
    ]
    (found,) = truths_found(seen(spam_alone), PLAN)
    assert found.code == "uneven_truth"
    assert "of the answers 'ham'" in found.message
    evenly = [each if n % 4 == 0 else Kept(each.at, each.answer) for n, each in enumerate(rows)]
    assert codes(truths_found(seen(evenly), PLAN)) == []


def test_truth_of_an_unknown_class_and_in_other_spellings() -> None:
    rows = [Kept(NOW, {"label": "1", "prob": 0.9}, truth) for truth in (1, 1.0, "1", True, "new")]
    from gristmill.pipeline.monitoring.truths import ClassTruths

    truths = ClassTruths.of(AnsweredRows.of(rows), ["0", "1"])
    assert truths.right.tolist() == [True, True, True, False, False]


def test_numbers_are_compared_as_numbers() -> None:
    generator = np.random.default_rng(9)
    noise = generator.normal(0, 1, 500)
    rows = [Kept(NOW, {"price": [float(x)]}, truth=float(x + e)) for x, e in enumerate(noise)]
    evidence = {"metric": "mae", "positive": 1, "rows": 500, "figure": 0.4}
    (found,) = quality_found(seen(rows, evidence, classes=()), PLAN)
    assert found.code == "quality_loss"
    assert codes(calibration_found(seen(rows, evidence, classes=()), PLAN)) == []


@pytest.mark.parametrize(
    ("evidence", "classes", "words"),
    [
        ({"metric": "mae", "figure": 1.0}, CLASSES, "mae does not fit a model that answers"),
        ({"metric": "f1", "figure": 1.0}, (), "f1 does not fit a model that answers numbers"),
        ({"metric": "mae", "figure": 1.0}, (), "expected answers of one number"),
    ],
)
def test_what_cannot_be_compared_is_said(evidence, classes, words) -> None:
    (found,) = quality_found(seen(predicted(200, 1), evidence, classes=classes), PLAN)
    assert found.code == "not_comparable"
    assert words in found.message
