"""The memory of devices as a user asks for it, plans with it and reads of it."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from tests.train.plain_models import deep

from gristmill.core.errors import UsageError
from gristmill.train.costs.tier_rates import TierRates
from gristmill.train.jobs.device_tier import DeviceTier, device_tier
from gristmill.train.jobs.job import job
from gristmill.train.jobs.reference import plain_loop
from gristmill.train.jobs.resources import Resources
from gristmill.train.workers.machine import Device, find_devices

DRAWS = np.random.default_rng(0)
INPUTS = DRAWS.normal(size=(96, 8)).astype(np.float32)
CLASSES = (INPUTS[:, 0] > 0).astype(np.int64)


@pytest.fixture
def one_late(monkeypatch):
    """Let `devices="cuda"` find a stand-in with 10 MB."""
    monkeypatch.setattr(
        "gristmill.train.jobs.resources._processes",
        lambda _: (Device("late", 0, memory_bytes=10_000_000),),
    )


def ready(folder, **more):
    settings = {"epochs": 2, "batch_size": 32, "micro_batches": 2, "devices": "cuda"} | more
    return job(deep, (INPUTS, CLASSES), loss="cross_entropy", folder=folder, **settings)


@pytest.mark.parametrize("memory", ["50MB", "300KB"])
def test_a_job_on_a_device_smaller_than_the_model(one_late, tmp_path, memory):
    """With 50 MB the host holds all of it, with 300 KB the disk holds the rest."""
    found = ready(
        tmp_path,
        device_memory="900KB",
        memory=memory,
        validation=(INPUTS[:40], CLASSES[:40]),
        metric="accuracy",
    )
    plan = found.explain().splitlines()
    told = f"{memory[:-2]} {memory[-2:]} on the host, copied at "
    assert plan[0].startswith(f"1 model on 1 device (late:0), 900 KB of its own, {told}")
    assert "to devices and" in plan[-2]
    assert ", copies " in plan[-1]
    found.run()
    wanted = plain_loop(found.trials[0]).state_dict()
    assert all(torch.equal(found.state_dict()[name], each) for name, each in wanted.items())
    traffic = found.timeline.traffic
    assert min(traffic.up, traffic.down) > 0
    assert (traffic.read > 0) == (memory == "300KB")
    assert "to devices and" in found.explain().splitlines()[-1]
    answers = list(found.predict({"inputs": INPUTS}, batch_size=20))
    module = found.module()
    with torch.no_grad():
        right = [module(torch.from_numpy(INPUTS[at : at + 20].copy())) for at in range(0, 96, 20)]
    assert all(map(torch.equal, answers, right))


def test_a_model_that_fits_takes_many_steps_at_once(one_late, tmp_path):
    found = ready(tmp_path, epochs=4).run()
    assert found.timeline.tasks < 12
    wanted = plain_loop(found.trials[0]).state_dict()
    assert all(torch.equal(found.state_dict()[name], each) for name, each in wanted.items())


TIER = DeviceTier("cpu", 1000, 5000, 3e9, 2e9)


def test_records_move_at_the_speed_of_the_tier_that_holds_them():
    disk = TierRates(1e8, 2e8, 1e-4, 1e9)
    above = TIER.rates(disk, 5000)
    assert (above.read_bytes_per_second, above.write_bytes_per_second) == (3e9, 2e9)
    assert (above.hop_seconds, above.hop_bytes_per_second) == (1e-4, 1e9)
    assert TIER.rates(disk, 5001) is disk
    assert TIER.budget == 900
    told = "1 KB of its own, 5 KB on the host, copied at 3 GB/s and back at 2 GB/s"
    assert str(TIER) == told


def test_cpus_have_no_memory_of_their_own():
    assert device_tier(find_devices("cpu:1"), None, 1000) is None
    with pytest.raises(UsageError, match="device_memory is of GPUs") as wrong:
        device_tier(find_devices("cpu:1"), "1GB", 1000)
    assert wrong.value.fix == "give the budget as memory=..."


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ("1GB", "expected device_memory of at most 1 KB, found 1 GB"),
        (0, "expected a memory budget above 0 bytes, found 0"),
        (2.5, 'expected a budget such as "2GB", or bytes, found 2.5'),
    ],
)
def test_device_memory_that_makes_no_sense(asked, message):
    with pytest.raises(UsageError) as wrong:
        device_tier([Device("late", 0, memory_bytes=1000)], asked, 1000)
    assert wrong.value.message == message


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
@pytest.mark.parametrize("asked", ["cuda", "cuda:0,1"])
def test_without_a_gpu_cuda_is_refused(tmp_path, asked):
    with pytest.raises(UsageError) as wrong:
        Resources(tmp_path, asked)
    assert str(wrong.value) == (
        "expected a CUDA GPU, found none that torch can use\n"
        '  fix: install a build of torch with CUDA, or use devices="cpu"'
    )


def test_auto_is_cpus(tmp_path):
    assert {each.kind for each in Resources(tmp_path, "auto").devices} == {"cpu"}
