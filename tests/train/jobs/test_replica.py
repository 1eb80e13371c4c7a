"""Data parallel training beside the plain loop: any layout, short batches, statistics, deaths."""

from __future__ import annotations

import os
import signal

import msgspec
import pytest

from gristmill.core.errors import UsageError
from gristmill.train.tasks.molding import Molding, replicated

LAYOUTS = [
    # devices, micro-batches, replicas, grain, cuts
    (2, 2, 2, "step", ()),
    (2, 6, 2, "step", ()),
    (1, 4, 2, "step", (3,)),
    (2, 4, 2, "stage", (2, 4)),
    (3, 6, 3, "micro", (3,)),
]


def planned(trials, spec, model, grain, cuts):
    plan, shape = trials.planned(spec, model, cuts, (), grain, spilled=False)
    return plan, msgspec.structs.replace(shape, replicas=spec.replicas)


@pytest.mark.parametrize(
    ("devices", "micros", "replicas", "grain", "cuts", "model", "clip"),
    [
        *((*layout, "skips", 0.05 * (at % 2) or None) for at, layout in enumerate(LAYOUTS)),
        (*LAYOUTS[0], "frozen", 0.05),
        (*LAYOUTS[3], "frozen", None),
    ],
)
def test_weights_are_those_of_the_plain_loop(
    trials, shared_runs, devices, micros, replicas, grain, cuts, model, clip
):  # fmt: skip
    cuts = cuts if model == "skips" else tuple(range(1, 1 + min(len(cuts), 1)))
    spec = trials.trial(
        model, rows=14, clip_norm=clip, steps=4, micro_batches=micros, replicas=replicas, held_out=2
    )
    run, (number,) = shared_runs.train(
        devices, 1 << 20, [planned(trials, spec, model, grain, cuts)]
    )
    assert run.failures == {}
    assert trials.differences(run, number, spec) == []
    assert run.figures(number)[4] == trials.expected_figures(spec)
    run.retire(number, forget=True)


def test_as_many_replicas_as_micro_batches_are_the_plain_loop_without_replicas(trials, shared_runs):
    spec = trials.trial("tied", steps=4, micro_batches=2)
    plan, shape = trials.planned(spec, "tied", (), (), "step", spilled=False)
    run, (number,) = shared_runs.train(2, 1 << 20, [(plan, replicated(shape, 2))])
    assert trials.differences(run, number, spec) == []
    assert {each.task.kind for each in run.scheduler.timeline if each.task.trial == number} == {
        "gradient", "update",
    }  # fmt: skip


def test_short_batches_may_leave_a_replica_without_rows(trials, shared_runs):
    spec = trials.trial("tied", rows=3, steps=3, micro_batches=3, replicas=3)  # the third has one
    run, (number,) = shared_runs.train(2, 1 << 20, [planned(trials, spec, "tied", "step", ())])
    assert run.failures == {}
    assert trials.differences(run, number, spec) == []


def test_idle_devices_take_replicas_at_a_step_boundary(trials, start):
    spec = trials.trial("tied", steps=6, micro_batches=2)
    plan, shape = trials.planned(spec, "tied", (), (), "step", spilled=False)
    run = start(devices=2, reshaper=Molding())
    run.add(0, plan, msgspec.structs.replace(shape, replicable=True))
    run.run()
    assert trials.differences(run, 0, spec) == []
    assert {each.task.replica for each in run.scheduler.timeline} == {0, 1}


def test_a_replica_that_dies_goes_back_to_the_last_commit(trials, start):
    spec = trials.trial(steps=20, micro_batches=4, replicas=2, clip_norm=0.1)
    run = start(devices=2)
    run.add(0, *planned(trials, spec, "skips", "step", ()))
    for rank in (1, 0):
        for _ in range(7):
            assert run.scheduler.advance()
        os.kill(run._crew.workers[rank].pid, signal.SIGKILL)
        while not run._gone:
            assert run.scheduler.advance()
        for device in run._gone:
            run._replace(device)
        run._gone.clear()
    run.run()
    assert run.failures == {}
    assert trials.differences(run, 0, spec) == []


def test_a_replica_whose_loss_is_no_number_ends_its_trial_only(trials, start):
    good = trials.trial("tied", steps=6, micro_batches=2, replicas=2)
    bad = trials.trial("tied", "sgd", "none", steps=6, micro_batches=2, replicas=2)
    object.__setattr__(bad, "objective", _nan_from(3))
    run = start(devices=2)
    for number, spec in enumerate((bad, good)):
        run.add(number, *planned(trials, spec, "tied", "step", ()))
    run.run()
    assert set(run.failures) == {0}
    assert "the loss is nan at step" in run.failures[0]
    assert trials.differences(run, 1, good) == []
    assert not run._trials
    assert run._pool.free == run._pool.nbytes


def _nan_from(calls):
    seen = []

    def objective(output, part):
        seen.append(0)
        return output.sum() * (float("nan") if len(seen) > calls else 1.0)

    return objective


def test_replicas_share_micro_batches_evenly(trials):
    with pytest.raises(UsageError) as caught:
        trials.trial(micro_batches=3, replicas=2)
    assert str(caught.value) == (
        "expected micro_batches that 2 replicas share evenly, found 3\n"
        "  fix: use micro_batches=2 or a multiple of it"
    )
