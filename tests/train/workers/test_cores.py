import os

import pytest

from gristmill.train.workers.cores import cpu_limit, first_of_each, usable_cores


def topology(folder, siblings):
    for processor, text in siblings.items():
        file = folder / f"cpu{processor}/topology/thread_siblings_list"
        file.parent.mkdir(parents=True)
        file.write_text(f"{text}\n")


def test_one_processor_of_each_core(tmp_path):
    topology(tmp_path, {0: "0,4", 1: "1,5", 4: "0,4", 5: "1,5", 6: "2,6"})
    assert first_of_each([0, 1, 4, 5, 6], tmp_path) == [0, 1, 6]
    assert first_of_each([4, 5, 6], tmp_path) == [4, 5, 6]


def test_processors_are_cores_where_nothing_is_known(tmp_path):
    assert first_of_each([0, 1, 2], tmp_path) == [0, 1, 2]


@pytest.mark.parametrize(
    ("file", "text", "limit"),
    [
        ("cpu.max", "150000 100000\n", 1.5),
        ("cpu.max", "max 100000\n", None),
        ("cpu/cpu.cfs_quota_us", "-1\n", None),
        ("cpu/cpu.cfs_quota_us", "400000\n", 4.0),
    ],
)
def test_the_quota_of_a_container(tmp_path, file, text, limit):
    (tmp_path / "cpu").mkdir()
    (tmp_path / "cpu/cpu.cfs_period_us").write_text("100000\n")
    (tmp_path / file).write_text(text)
    assert cpu_limit(tmp_path) == limit


def test_no_quota_anywhere(tmp_path):
    assert cpu_limit(tmp_path) is None


def test_affinity_and_quota_limit_the_cores(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {3, 1, 2}, raising=False)
    assert usable_cores(tmp_path, tmp_path) == (1, 2, 3)
    (tmp_path / "cpu.max").write_text("250000 100000\n")
    assert usable_cores(tmp_path, tmp_path) == (1, 2)
    (tmp_path / "cpu.max").write_text("50000 100000\n")
    assert usable_cores(tmp_path, tmp_path) == (1,)
