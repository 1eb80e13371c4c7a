"""Devices with memory of their own: whatever is copied when, the bits of the plain loop.

The devices are stand-ins whose copies are made as late as can be (`workers.late_streams`); of a GPU
there is one test, which has never run.
"""

from __future__ import annotations

import random
from contextlib import closing

import msgspec
import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from gristmill.train.draws import seeded
from gristmill.train.feeds.arrays import Arrays
from gristmill.train.jobs.device_memory import room_bytes
from gristmill.train.jobs.inference import Inference
from gristmill.train.jobs.reference import plain_loop
from gristmill.train.jobs.training_run import TrainingRun
from gristmill.train.workers.machine import Device, find_devices

ROOMY = 1 << 20


def late(count, room):
    return [Device("late", number, record_bytes=room) for number in range(count)]


def least_room(prepared):
    """Return the bytes in which copies of one task's records fit, for each of the trials."""
    found = 0
    for plan, shape in prepared:
        sizes = [room_bytes(list(shard.layouts.values())) for shard in plan.shards]
        found = max(found, sum(sizes) if shape.depth == 1 else max(sizes))
    return found


def train(folder, devices, memory, prepared):
    """Train trials together; return the run, closed when the block that it is in ends."""
    run = TrainingRun(folder, devices=devices, memory=memory, commit_seconds=0.0)
    for number, each in enumerate(prepared):
        run.add(number, *each)
    return closing(run)


def check(trials, folder, devices, memory, specs, prepared):
    with train(folder, devices, memory, prepared) as run:
        timeline = run.run()
        assert run.failures == {}
        for number, spec in enumerate(specs):
            assert trials.differences(run, number, spec) == []
            if spec.evaluation:
                assert run.figures(number)[spec.steps] == trials.expected_figures(spec)
    return timeline.traffic


CASES = {
    # devices, grain, model, cuts, rooms of the least, more of the trial
    "spilled": (1, "stage", "skips", (2, 5), 1.0, {"held_out": 2}),
    "with room for two": (1, "stage", "skips", (2, 5, 8), 2.2, {"micro_batches": 3}),
    "activations dropped": (1, "stage", "skips", (2, 5), 1.5, {"dropped": (0, 1)}),
    "clipped": (1, "stage", "tied", (1, 2), 1.0, {"clip_norm": 0.05, "optimizer": "momentum"}),
    "whole steps": (1, "step", "two", (), 1.0, {"schedule": "cycle"}),
    "pipelined": (2, "micro", "skips", (3, 6), 1.0, {"micro_batches": 4}),
    "bfloat16": (1, "stage", "sequential", (3,), 1.0, {"precision": "bfloat16"}),
    "some frozen": (2, "stage", "frozen", (1,), 1.0, {"optimizer": "adagrad"}),
}


def made(trials, case):
    """Return the trial of a case, and its plan and shape."""
    _, grain, model, cuts, _, more = CASES[case]
    more = {"micro_batches": 2, **more}
    dropped = more.pop("dropped", ())
    spec = trials.trial(model, **more)
    return spec, trials.planned(spec, model, cuts, dropped, grain, spilled=grain == "stage")


@pytest.mark.parametrize("case", CASES)
def test_a_trial_equals_the_plain_loop(trials, tmp_path, case):
    devices, *_, rooms, _ = CASES[case]
    spec, *prepared = made(trials, case)
    room = int(rooms * least_room(prepared))
    traffic = check(trials, tmp_path, late(devices, room), ROOMY, [spec], prepared)
    assert min(traffic.up, traffic.down) > 0


def test_two_trials_through_all_three_tiers(trials, tmp_path):
    specs = [
        trials.trial(micro_batches=2, held_out=2),
        trials.trial("tied", "momentum", steps=5, micro_batches=2, clip_norm=0.5, seed=3),
    ]
    prepared = [
        trials.planned(specs[0], cuts=(2, 5, 9)),
        trials.planned(specs[1], "tied", cuts=(1, 2)),
    ]
    memory = 3 * trials.least_memory(prepared)
    devices = late(2, int(1.5 * least_room(prepared)))
    traffic = check(trials, tmp_path, devices, memory, specs, prepared)
    assert min(traffic.read, traffic.written, traffic.up, traffic.down) > 0


def test_a_model_that_fits_the_device_goes_up_once(trials, tmp_path):
    spec = trials.trial("tied", steps=6)
    prepared = [trials.planned(spec, "tied", (1, 2))]
    traffic = check(trials, tmp_path, late(1, ROOMY), ROOMY, [spec], prepared)
    plan = prepared[0][0]
    once = sum(
        entry.nbytes
        for shard in plan.shards
        for layout in shard.layouts.values()
        for entry in layout.entries
    )
    assert traffic.up <= once


@pytest.mark.parametrize("grain", ["step", "stage"])
def test_replicas(trials, tmp_path, grain):
    spec = trials.trial(micro_batches=4, replicas=2, clip_norm=0.5)
    plan, shape = trials.planned(spec, "skips", (3,), (), grain, spilled=False)
    prepared = [(plan, msgspec.structs.replace(shape, replicas=2))]
    check(trials, tmp_path, late(2, ROOMY), ROOMY, [spec], prepared)


@pytest.mark.slow
def test_any_trial_with_any_room(trials, tmp_path_factory):
    @settings(
        max_examples=12,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        derandomize=True,
        phases=(Phase.explicit, Phase.generate),
    )
    @given(st.data())
    def example(data):
        draw = data.draw
        specs, prepared = [], []
        for seed in range(draw(st.integers(1, 2))):
            model = draw(st.sampled_from(sorted(trials.MODELS)))
            layers = len(trials.graph_of(model).layers)
            cuts = sorted(draw(st.sets(st.integers(1, layers - 1), max_size=4)))
            spec = trials.trial(
                model,
                draw(st.sampled_from(sorted(trials.OPTIMIZERS))),
                draw(st.sampled_from(sorted(trials.SCHEDULES))),
                seed=seed,
                held_out=draw(st.sampled_from([0, 2])),
                micro_batches=draw(st.integers(1, 3)),
                clip_norm=draw(st.sampled_from([None, 0.05])),
            )
            dropped = draw(st.sets(st.integers(0, len(cuts))))
            specs.append(spec)
            prepared.append(trials.planned(spec, model, cuts, dropped))
        room = int(draw(st.sampled_from([1.0, 1.3, 2.0, 4.0])) * least_room(prepared))
        devices = draw(st.integers(1, 2))
        memory = draw(st.sampled_from([2 * devices * trials.least_memory(prepared), ROOMY]))
        folder = tmp_path_factory.mktemp("run")
        check(trials, folder, late(devices, room), memory, specs, prepared)

    example()


def test_workers_are_killed_and_the_bits_are_the_same(trials, tmp_path):
    specs = [
        trials.trial(steps=12, micro_batches=2, held_out=5),
        trials.trial("tied", "momentum", steps=12, micro_batches=2, seed=1),
    ]
    prepared = [
        trials.planned(specs[0], cuts=(2, 5)),
        trials.planned(specs[1], "tied", cuts=(1, 2)),
    ]
    devices = late(2, int(1.5 * least_room(prepared)))
    draw, kills = random.Random(5), []

    with train(tmp_path, devices, 4 * trials.least_memory(prepared), prepared) as run:
        advance = run.scheduler.advance

        def killing():
            if len(kills) < 8 and draw.random() < 0.1:
                victim = draw.choice(run._crew.workers)
                if trials.kill(victim):
                    kills.append(victim.pid)
            return advance()

        run.scheduler.advance = killing
        run.run()
        assert len(kills) == 8
        assert run.failures == {}
        for number, spec in enumerate(specs):
            assert trials.differences(run, number, spec) == []


def test_a_run_goes_on_from_the_cpu_to_devices_and_back(trials, tmp_path):
    spec = trials.trial(steps=9, micro_batches=2)
    prepared = trials.planned(spec, cuts=(2, 5))
    kinds = [late(1, least_room([prepared])), find_devices("cpu:2"), late(2, ROOMY)]
    for until, devices in zip((3, 6, 9), kinds, strict=True):
        with closing(
            TrainingRun(tmp_path, devices=devices, memory=ROOMY, commit_seconds=0.0)
        ) as run:
            run.add(0, *prepared, until=until)
            run.run()
            assert run.safe_step(0) == until
            if until == 9:
                wanted, _ = trials.expected(spec)
                found = run.state_dict(0)
                assert all(torch.equal(found[name], each) for name, each in wanted.items())


@pytest.mark.parametrize("count", [1, 2])
def test_answers_of_a_model_larger_than_the_device(trials, tmp_path, count):
    rows = np.random.default_rng(0).normal(size=(45, 8)).astype("float32")
    spec = trials.trial("skips", seed=3)
    plan, _ = trials.planned(spec, "skips", (2, 5, 8))
    room = max(
        room_bytes([layout for name, layout in shard.layouts.items() if name != "state"])
        for shard in plan.shards
    )
    module = seeded(spec.build, 3).eval()
    with torch.no_grad():
        wanted = [module(torch.from_numpy(rows[at : at + 10].copy())) for at in range(0, 45, 10)]
    devices = late(count, room)
    with Inference(plan, tmp_path, devices=devices, memory=ROOMY) as inference:
        for at_once in (1, 3):
            found = inference.predict(Arrays(rows), batch_size=10, batches_at_once=at_once)
            assert all(map(torch.equal, found, wanted))


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA GPU that torch can use")
@pytest.mark.parametrize("case", CASES)
def test_on_a_gpu_a_trial_equals_the_plain_loop_on_it(trials, tmp_path, case):
    """So far this has never run: there was no GPU where it was written."""
    spec, prepared = made(trials, case)
    (gpu, *_) = find_devices("cuda")
    room = int(CASES[case][4] * least_room([prepared]))
    devices = [msgspec.structs.replace(gpu, memory_bytes=1 << 30, record_bytes=room)]
    losses = []
    wanted = plain_loop(spec, lambda _, loss: losses.append(loss), device="cuda:0").state_dict()
    with train(tmp_path, devices, ROOMY, [prepared]) as run:
        run.run()
        assert run.failures == {}
        found = run.state_dict(0)
        assert list(run.losses(0).values()) == losses
    assert all(torch.equal(found[name], each.cpu()) for name, each in wanted.items())
