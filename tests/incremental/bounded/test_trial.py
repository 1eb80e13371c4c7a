"""Whether differences wait."""

from gristmill.incremental.bounded.trial import Trial

SETTLING = 32


def run(trial, frames, gain):
    """Count frames, weighing those that are wanted; of each, whether differences waited."""
    found = []
    for _ in range(frames):
        found.append(trial.waits)
        if trial.waits and trial.wants_sample:
            trial.weigh(1.0, 1.0 + gain)
        trial.count()
    return found


def test_they_wait_as_long_as_it_pays():
    assert all(run(Trial(), 500, 0.1))


def test_a_small_loss_may_be_chance():
    assert all(run(Trial(), 500, -0.04))


def test_frames_before_thresholds_have_settled_count_for_nothing():
    trial = Trial()
    assert all(run(trial, SETTLING, -0.5))
    assert all(run(trial, 500, 0.0))


def test_where_it_does_not_pay_rests_grow_longer():
    found = run(Trial(), SETTLING + 48 + 64 + 48 + 128 + 48 + 256, -0.1)
    expected = [True] * (SETTLING + 48) + [False] * 64 + [True] * 48 + [False] * 128 + [True] * 48
    assert found == expected + [False] * 256


def test_rests_are_short_again_once_it_has_paid():
    trial = Trial()
    run(trial, SETTLING + 48 + 64, -0.1)
    run(trial, 48, 0.1)
    assert run(trial, 48 + 64 + 1, -0.1) == [True] * 48 + [False] * 64 + [True]
