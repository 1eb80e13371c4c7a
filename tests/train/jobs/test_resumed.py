"""Paused, interrupted, gone on from: on other devices, in other shards, with the same bits."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from gristmill.core.errors import UsageError


def trained(start, prepared, *, until=None, devices=1, memory=1 << 20, name="run"):
    run = start(devices, memory, name)
    run.add(0, *prepared, until=until)
    run.run()
    return run


def test_other_settings_are_refused_and_nothing_is_touched(trials, start, tmp_path):
    spec = trials.trial(steps=6, micro_batches=2)
    prepared = trials.planned(spec, cuts=(2, 5))
    trained(start, prepared, until=3).close()
    run = start()
    other = trials.planned(replace(spec, seed=1, micro_batches=3), cuts=(2, 5))
    with pytest.raises(UsageError) as caught:
        run.add(0, *other)
    assert str(caught.value) == (
        "trial 0 was begun with other settings: seed was 0, now 1; micro_batches was 2, now 3\n"
        "  fix: train with the settings of before, or in a new folder"
    )
    run.add(0, *prepared)
    run.run()
    assert trials.differences(run, 0, spec) == []


def test_a_run_may_be_made_longer_not_shorter(trials, start, tmp_path):
    spec = trials.trial(steps=4, held_out=3)
    trained(start, trials.planned(spec, cuts=(3,))).close()
    with pytest.raises(UsageError) as caught:
        trained(start, trials.planned(replace(spec, steps=3), cuts=(3,)))
    assert str(caught.value) == (
        f"{tmp_path / 'run'}: trial 0 has made 4 steps, and 3 are asked for\n"
        "  fix: ask for at least as many, or train in a new folder"
    )


@pytest.mark.slow
def test_a_longer_run_is_the_plain_loop_of_that_length(trials, start):
    spec = trials.trial(steps=4, held_out=3)
    trained(start, trials.planned(spec, cuts=(3,))).close()
    longer = replace(spec, steps=7)
    run = trained(start, trials.planned(longer, cuts=(3,)))
    assert trials.differences(run, 0, longer) == []
    assert sorted(run.figures(0)) == [3, 4, 6, 7]


def test_what_has_ended_stays_as_it_is(trials, start, tmp_path):
    spec = trials.trial("tied", steps=4, held_out=2)
    prepared = trials.planned(spec, "tied", grain="step")
    trained(start, prepared).close()
    journal = (tmp_path / "run" / "journal").read_bytes()
    again = trained(start, prepared)
    assert trials.differences(again, 0, spec) == []
    assert again.figures(0)[4] == trials.expected_figures(spec)
    assert (tmp_path / "run" / "journal").read_bytes() == journal


@pytest.mark.slow
def test_sittings_of_every_kind_make_one_plain_loop(trials, start):
    names = iter(range(1000))

    @settings(
        max_examples=8, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True,
        phases=(Phase.explicit, Phase.generate),
    )  # fmt: skip
    @given(st.data())
    def example(data):
        spec = trials.trial(
            steps=9, micro_batches=2, held_out=4, clip_norm=data.draw(st.sampled_from([None, 0.1]))
        )
        name, at = f"run-{next(names)}", 0
        while at < spec.steps:
            at = data.draw(st.integers(at + 1, spec.steps))
            cuts = sorted(data.draw(st.sets(st.integers(1, 13), max_size=3)))
            grain = data.draw(st.sampled_from(["stage", "micro", "step"]))
            prepared = trials.planned(spec, cuts=cuts, grain=grain, spilled=grain == "stage")
            memory = trials.least_memory([prepared]) if grain == "stage" else 1 << 20
            until = None if at == spec.steps else at
            devices = data.draw(st.integers(1, 2))
            run = trained(start, prepared, until=until, devices=devices, memory=memory, name=name)
            assert run.scheduler.graph(0).completed >= at
            at = run.scheduler.graph(0).completed
            assert sorted(run.losses(0)) == list(range(at))
            run.close()
        run = trained(start, prepared, name=name)
        assert trials.differences(run, 0, spec) == []
        assert sorted(run.figures(0)) == [4, 8, 9]
        run.close()

    example()


def test_a_trial_paused_and_resumed_in_one_run(trials, start):
    spec = trials.trial(steps=8, micro_batches=2, held_out=4)
    other = trials.trial("two", "adagrad", steps=5)
    first, second = trials.planned(spec, cuts=(2, 5)), trials.planned(other, "two", cuts=(2,))
    run = start(2, trials.least_memory([first, second]))
    run.add(0, *first, until=2)
    run.add(1, *second)
    for until in (5, None):
        run.run()
        assert run.scheduler.status(0) == "paused"
        assert re.match(r"[25]$", str(run.scheduler.graph(0).completed))
        run.resume(0, until)
    run.run()
    assert trials.differences(run, 0, spec) == []
    assert trials.differences(run, 1, other) == []
    assert run._pool.free == run._pool.nbytes
