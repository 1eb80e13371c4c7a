"""The gate promotes, holds or rejects, and always says why."""

from __future__ import annotations

from pathlib import Path

import pytest

from gristmill.core.intervals import Interval
from gristmill.pipeline.gate import Policy, Verdict, judge


def gain(value: float, low: float, high: float) -> Interval:
    return Interval(value, low, high)


@pytest.mark.parametrize(
    ("gains", "policy", "verdict", "reason"),
    [
        ({"old": gain(0.1, 0.02, 0.2)}, Policy(), "promote", "better beyond the interval"),
        ({"old": gain(0.1, -0.02, 0.2)}, Policy(), "hold", "not shown to be better"),
        ({"old": gain(-0.1, -0.2, -0.01)}, Policy(), "reject", "worse"),
        (
            {"old": gain(0.1, -0.02, 0.2)},
            Policy(beyond_interval=False),
            "promote",
            "better, within the interval",
        ),
        (
            {"a": gain(0.1, 0.02, 0.2), "b": gain(-0.1, -0.2, -0.01)},
            Policy(),
            "reject",
            "against b",
        ),
        ({"old": gain(0.1, 0.02, 0.2)}, Policy(min_gain=0.05), "hold", "needs more than +0.050"),
        ({"old": gain(0.1, 0.02, 0.2)}, Policy(floor=0.95), "reject", "below the floor 0.950"),
        ({"old": gain(0.1, 0.02, 0.2)}, Policy(min_rows=5000), "hold", "the policy asks for 5000"),
        ({}, Policy(), "promote", "f1 0.900 on 1000 rows"),
    ],
)
def test_a_verdict_follows_from_figures_and_policy(
    gains: dict[str, Interval], policy: Policy, verdict: str, reason: str
) -> None:
    found = judge("new", 0.9, gains, rows=1000, policy=policy)
    assert found.verdict == verdict
    assert reason in " ".join(found.reasons)
    assert found.passed == (verdict == "promote")


def test_a_failed_check_rejects_whatever_the_figures() -> None:
    found = judge("new", 0.99, {}, rows=1000, failures=["answers 3 of 5 stored requests wrongly"])
    assert found == Verdict("reject", ["answers 3 of 5 stored requests wrongly"], "new")


def test_a_verdict_is_stored_and_described(tmp_path: Path) -> None:
    verdict = judge("new", 0.9, {}, rows=1000)
    verdict.save(tmp_path)
    assert Verdict.load(tmp_path) == verdict
    assert verdict.describe()["verdict"] == "promote"
