"""What every engine does, clusters included."""

from __future__ import annotations

from gristmill.core.errors import StepError


def test_a_failed_item_does_not_stop_the_others(any_engine, jobs):
    outcomes = list(any_engine.attempts(jobs.fail_on_three, range(6)))
    assert [outcome.value for outcome in outcomes] == [0, 1, 2, None, 4, 5]
    error = outcomes[3].error
    assert isinstance(error, StepError)
    assert str(error) == "fail_on_three, item 3: ValueError: three is too many"
    assert "fail_on_three" in outcomes[3].trace
