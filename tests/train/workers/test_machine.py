from types import SimpleNamespace

import pytest
import torch

from gristmill.core.errors import UsageError
from gristmill.train.workers import machine
from gristmill.train.workers.machine import Device, find_devices

FIX = '  fix: use devices="auto", a number such as 2, "cpu", "cpu:2", "cuda" or "cuda:0,1"'


@pytest.fixture(autouse=True)
def four_cores(monkeypatch):
    monkeypatch.setattr(machine, "usable_cores", lambda: (0, 2, 4, 6))
    monkeypatch.setattr(machine, "memory_limit", lambda: 8_000)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)


@pytest.fixture
def three_gpus(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 3)
    monkeypatch.setattr(
        torch.cuda, "get_device_properties", lambda index: SimpleNamespace(total_memory=100 + index)
    )


def names(devices):
    return [device.name for device in devices]


@pytest.mark.parametrize("asked", ["auto", "cpu", "cpu:4", 4, "4"])
def test_all_cores(asked):
    devices = find_devices(asked)
    assert names(devices) == ["cpu:0", "cpu:1", "cpu:2", "cpu:3"]
    assert [device.cores for device in devices] == [(0,), (2,), (4,), (6,)]
    assert {(one.threads, one.memory_bytes) for one in devices} == {(1, 8_000)}


def test_some_cores_and_several_threads():
    assert [one.cores for one in find_devices("cpu:2")] == [(0,), (2,)]
    assert [one.cores for one in find_devices("cpu", threads=2)] == [(0, 2), (4, 6)]
    assert [one.threads for one in find_devices(1, threads=3)] == [3]
    assert [one.cores for one in find_devices("auto", threads=9)] == [()]


def test_more_workers_than_cores_share_them():
    devices = find_devices("cpu:32")
    assert len(devices) == 32
    assert {device.cores for device in devices} == {()}


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ("auto", ["cuda:0", "cuda:1", "cuda:2"]),
        ("cuda", ["cuda:0", "cuda:1", "cuda:2"]),
        ("cuda:2,0", ["cuda:2", "cuda:0"]),
        (2, ["cuda:0", "cuda:1"]),
        ("cpu:1", ["cpu:0"]),
    ],
)
def test_gpus_where_there_are_some(three_gpus, asked, found):
    assert names(find_devices(asked)) == found


def test_a_gpu_is_described(three_gpus):
    assert find_devices("cuda:1") == (Device("cuda", 1, memory_bytes=101),)


@pytest.mark.parametrize("asked", ["gpu", "cpu:", "cpu:x", "cuda:", "cuda:0,", "", "-1", True, 2.0])
def test_unknown_words(asked):
    with pytest.raises(UsageError) as caught:
        find_devices(asked)
    assert str(caught.value) == f"unknown devices {asked!r}\n{FIX}"


@pytest.mark.parametrize(("asked", "found"), [(0, 0), (-2, -2), ("cpu:0", 0)])
def test_less_than_one_device(asked, found):
    with pytest.raises(UsageError) as caught:
        find_devices(asked)
    assert str(caught.value) == f"expected at least 1 device, found {found}\n{FIX}"


def test_less_than_one_thread():
    with pytest.raises(UsageError, match="expected at least 1 thread, found 0"):
        find_devices(threads=0)


def test_gpus_where_there_are_none():
    with pytest.raises(UsageError) as caught:
        find_devices("cuda:0")
    assert str(caught.value) == (
        "expected a CUDA GPU, found none that torch can use\n"
        '  fix: install a build of torch with CUDA, or use devices="cpu"'
    )


@pytest.mark.parametrize(
    ("asked", "text"),
    [
        ("cuda:0,7,3", "expected GPUs 0 to 2, found 7, 3"),
        ("cuda:1,1", "expected each GPU once, found 1, 1"),
        (4, "expected 1 to 3 GPUs, found devices=4"),
        (0, "expected 1 to 3 GPUs, found devices=0"),
    ],
)
def test_gpus_that_are_not_there(three_gpus, asked, text):
    with pytest.raises(UsageError) as caught:
        find_devices(asked)
    assert str(caught.value) == f"{text}\n{FIX}"


def test_this_machine_has_a_device(monkeypatch):
    monkeypatch.undo()
    devices = find_devices("cpu")
    assert len(devices) >= 1
    assert devices[0].memory_bytes > 0
