"""The gate promotes, holds or rejects, and always says why."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from gristmill.core.errors import DataError, UsageError
from gristmill.pipeline.gating.contender import Contender
from gristmill.pipeline.gating.evidence import Evidence
from gristmill.pipeline.gating.gate import judge
from gristmill.pipeline.gating.policy import Policy
from gristmill.pipeline.gating.verdict import Verdict
from gristmill.store.signature import Field

ROWS = 1000
TRUTH = np.arange(ROWS) % 2
LENIENT = Policy(beyond_interval=False)


def wrong_on(rows: int, start: int = 0, name: str = "old") -> Contender:
    """A model that is wrong on so many rows from `start` on, and right on all others."""
    answers = TRUTH.copy()
    answers[start : start + rows] ^= 1
    return Contender(name, answers)


def new(rows: int) -> Contender:
    return wrong_on(rows, 500, "new")


@pytest.mark.parametrize(
    ("candidate", "incumbents", "policy", "verdict", "reason"),
    [
        (new(50), [wrong_on(150)], Policy(), "promote", "better beyond the interval"),
        (new(100), [wrong_on(104)], Policy(), "hold", "not shown to be better"),
        (new(150), [wrong_on(50)], Policy(), "reject", "worse"),
        (new(100), [wrong_on(104)], LENIENT, "promote", "better, within the interval"),
        (
            new(50),
            [wrong_on(150, name="a"), wrong_on(5, name="b")],
            Policy(),
            "reject",
            "against b",
        ),
        (new(50), [wrong_on(150)], Policy(min_gain=0.09), "hold", "needs more than +0.0900"),
        (new(50), [wrong_on(53)], Policy(min_gain=0.2), "hold", "not better by the margin"),
        (new(50), [wrong_on(150)], Policy(floor=0.99), "reject", "floor 0.99: not reached"),
        (new(50), [wrong_on(150)], Policy(min_rows=5000), "hold", "the policy asks for 5,000"),
        (new(50), [], Policy(), "promote", "against always the same answer"),
        (new(900), [], Policy(), "reject", "against always the same answer"),
        (Contender("new", None, failure="out of memory"), [], Policy(), "reject", "out of memory"),
    ],
)
def test_a_verdict_follows_from_answers_and_policy(
    candidate: Contender, incumbents: list[Contender], policy: Policy, verdict: str, reason: str
) -> None:
    found = judge(candidate, incumbents, Evidence(TRUTH), policy)
    assert found.verdict == verdict, found
    assert reason in " ".join(found.reasons)
    assert found.passed == (verdict == "promote")
    assert found.notes[0].startswith("base rate: class 1 is 50.0% of 1,000 rows")


def test_a_reason_says_who_is_right_alone() -> None:
    found = judge(new(50), [wrong_on(150)], Evidence(TRUTH, data="abc"), Policy("accuracy"))
    assert found.reasons[1].startswith("accuracy: gain +0.1000 [")
    assert "right alone on 150 rows, old on 50 (McNemar p < 0.001)" in found.reasons[1]
    (compared,) = found.evidence["comparisons"]
    assert (compared["right_alone"], found.evidence["data"]) == ([150, 50], "abc")


def test_a_failed_check_rejects_whatever_the_figures() -> None:
    why = "answers 3 of 5 stored requests wrongly"
    found = judge(new(0), [], Evidence(TRUTH), failures=[why])
    assert (found.verdict, found.reasons, found.candidate) == ("reject", [why], "new")


@pytest.mark.parametrize(
    ("policy", "verdict"), [(Policy(), "hold"), (Policy(without_incumbent="alone"), "promote")]
)
def test_an_incumbent_that_cannot_be_run_is_said(policy: Policy, verdict: str) -> None:
    lost = Contender("v3", None, failure="its artifact is gone")
    found = judge(new(50), [lost], Evidence(TRUTH), policy)
    assert found.verdict == verdict
    assert "v3 can no longer be run (its artifact is gone)" in str(found)


FIELDS = [Field("text", "string", max_length=100), Field("lang", "string", required=False)]


@pytest.mark.parametrize(
    ("inputs", "said"),
    [
        (FIELDS, ""),
        (FIELDS[:1], ""),
        ([*FIELDS, Field("age", "int", required=False)], ""),
        ([*FIELDS, Field("age", "int")], "asks for the new field 'age'"),
        ([Field("text", "int")], "takes 'text' as int, not as string"),
        ([Field("lang", "string")], "asks for 'lang', which could be left out"),
        ([Field("text", "string", domain=["a"])], "takes only 1 texts as 'text', not any"),
        ([Field("text", "string", max_length=50)], "takes at most 50 of 'text'"),
    ],
)
def test_requests_that_would_break_hold(inputs: list[Field], said: str) -> None:
    old = wrong_on(150)
    candidate = Contender("new", new(50).answers, inputs)
    incumbent = Contender("old", old.answers, FIELDS)
    found = judge(candidate, [incumbent], Evidence(TRUTH))
    assert found.verdict == ("hold" if said else "promote")
    assert said in " ".join(found.reasons)
    allowed = judge(candidate, [incumbent], Evidence(TRUTH), Policy(schema_changes="allow"))
    assert allowed.verdict == "promote"


def in_slices(**sizes: int) -> dict[str, np.ndarray]:
    """Slices of so many rows each, one after the other."""
    found, start = {}, 0
    for name, size in sizes.items():
        found[name] = (np.arange(ROWS) >= start) & (np.arange(ROWS) < start + size)
        start += size
    return found


def test_a_slice_that_surely_loses_vetoes() -> None:
    evidence = Evidence(TRUTH, in_slices(north=200, south=800))
    candidate = wrong_on(60, 0, "new")  # all of its errors are in the north
    found = judge(candidate, [wrong_on(300, 500)], evidence, Policy("accuracy"))
    assert found.verdict == "reject"
    assert found.reasons[-1].startswith("slice north, 200 rows: accuracy gain -0.3000 [")
    assert judge(candidate, [wrong_on(300, 500)], evidence, Policy(slice_loss=None)).passed


def test_a_thin_slice_abstains_and_says_so() -> None:
    evidence = Evidence(TRUTH, in_slices(tiny=6, small=40, rest=954))
    found = judge(wrong_on(12, 0, "new"), [wrong_on(300, 500)], evidence, Policy("accuracy"))
    assert found.verdict == "promote"
    notes = "\n".join(found.notes)
    assert "slice tiny abstains: 6 rows are too few to tell" in notes
    assert "slice small abstains: 40 rows leave gain" in notes
    assert "1 of 3 slices lose no more than 0.05" in notes


@pytest.mark.parametrize("slices", [2, 10, 30, 40])
def test_equal_models_are_rarely_vetoed_however_many_slices(slices: int) -> None:
    """The level holds for all slices together: about 1 trial in 40 ends in a veto."""
    generator = np.random.default_rng(slices)
    vetoed = 0
    for _ in range(300):
        part = generator.integers(0, slices, ROWS)
        one, two = (TRUTH ^ (generator.random(ROWS) < 0.2) for _ in range(2))
        evidence = Evidence(TRUTH, {str(name): part == name for name in range(slices)})
        policy = Policy("accuracy", slice_loss=0.0)
        found = judge(Contender("new", one), [Contender("old", two)], evidence, policy)
        vetoed += any(reason.startswith("slice") for reason in found.reasons)
    assert vetoed <= 300 * 0.04


@pytest.mark.parametrize("metric", ["auc", "log_loss", "brier", "mae", "mse"])
def test_scores_and_numbers_are_judged_too(metric: str) -> None:
    generator = np.random.default_rng(3)
    close, far = (np.clip(TRUTH + generator.normal(size=ROWS) * s, 0, 1) for s in (0.3, 0.8))
    evidence = Evidence(TRUTH.astype(float) if metric in ("mae", "mse") else TRUTH)
    found = judge(Contender("new", close), [Contender("old", far)], evidence, Policy(metric))
    assert found.verdict == "promote", found
    assert (
        judge(Contender("new", far), [Contender("old", close)], evidence, Policy(metric)).verdict
        == "reject"
    )
    assert judge(Contender("new", close), [], evidence, Policy(metric)).passed


def test_what_cannot_be_judged() -> None:
    with pytest.raises(
        DataError, match=r"expected an answer to each of 1000 rows, found the shape \[3\]"
    ):
        judge(Contender("new", TRUTH[:3]), [], Evidence(TRUTH))
    with pytest.raises(DataError, match=r"slice 'a': expected bool\[1000\], found int64\[1000\]"):
        Evidence(TRUTH, {"a": TRUTH})
    with pytest.raises(UsageError, match="unknown metric 'f2'"):
        Policy("f2")
    with pytest.raises(UsageError, match="expected min_gain of at least 0, found -1"):
        Policy(min_gain=-1)


def test_a_verdict_is_stored_and_described(tmp_path: Path) -> None:
    verdict = judge(new(50), [wrong_on(150)], Evidence(TRUTH))
    verdict.save(tmp_path)
    assert Verdict.load(tmp_path) == verdict
    assert verdict.describe()["verdict"] == "promote"
    assert str(verdict).startswith("PROMOTE new\n  - f1 0.9500 on 1,000 rows\n")


def test_answers_that_are_no_numbers_are_no_answers() -> None:
    scores = 0.2 + 0.5 * TRUTH + np.linspace(0, 0.1, ROWS)
    broken = scores.copy()
    broken[[3, 7]] = np.nan
    for metric in ("auc", "log_loss", "brier"):
        found = judge(
            Contender("new", broken), [Contender("old", scores)], Evidence(TRUTH), Policy(metric)
        )
        assert found.verdict == "reject"
        assert "of its answers 2 of 1,000 are no" in found.reasons[0]
        found = judge(
            Contender("new", scores), [Contender("old", broken)], Evidence(TRUTH), Policy(metric)
        )
        assert found.verdict == "hold"
        assert "old can no longer be run (of its answers 2 of 1,000 are no" in str(found)
    (reason,) = judge(Contender("new", scores), [], Evidence(TRUTH), Policy("f1")).reasons
    assert "1,000 of 1,000 are no class numbers: 0.2" in reason
    (reason,) = judge(Contender("new", 9 * scores), [], Evidence(TRUTH), Policy("brier")).reasons
    assert "are no probabilities" in reason


@pytest.mark.parametrize("metric", ["f1", "recall", "auc", "log_loss"])
def test_evidence_without_the_class_holds(metric: str) -> None:
    scores = np.zeros(ROWS) if metric in ("auc", "log_loss") else TRUTH
    found = judge(
        Contender("new", scores), [], Evidence(np.zeros(ROWS, int)), Policy(metric, floor=0.9)
    )
    assert found.verdict == "hold"
    assert "none of 1,000 rows is of class 1" in found.reasons[0]


@pytest.mark.parametrize("metric", ["f1", "auc"])
def test_a_slice_without_the_class_abstains(metric: str) -> None:
    truth = np.where(np.arange(ROWS) < 300, 0, TRUTH)
    evidence = Evidence(truth, in_slices(north=300, south=700))
    scores = TRUTH.astype(float) if metric == "auc" else TRUTH
    found = judge(Contender("new", scores), [Contender("old", scores)], evidence, Policy(metric))
    notes = "\n".join(found.notes)
    assert "slice north abstains: none of 300 rows is of class 1" in notes
    assert "1 of 2 slices lose no more than 0.05" in notes


@pytest.mark.parametrize("positives", [1, 2, 3])
def test_equal_rankings_are_rarely_told_apart_by_a_few_rows(positives: int) -> None:
    generator = np.random.default_rng(positives)
    truth = (np.arange(200) < positives).astype(int)
    promoted = 0
    for _ in range(300):
        one, two = (truth + generator.normal(size=200) for _ in range(2))
        found = judge(
            Contender("new", one), [Contender("old", two)], Evidence(truth), Policy("auc")
        )
        promoted += found.passed
    assert promoted <= 300 * 0.05
