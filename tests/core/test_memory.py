import os

import pytest

from gristmill.core.memory import free_memory, machine_kills, memory_group, memory_limit


@pytest.fixture
def fake(tmp_path):
    """Write a file of a made-up machine; {root} in a text is its folder."""

    def write(path, text):
        file = tmp_path / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text.format(root=tmp_path))

    return write


def version_2(fake, path="/a/b"):
    fake("proc/self/cgroup", f"0::{path}\n")
    fake("proc/self/mountinfo", "30 23 0:26 / {root}/fs rw - cgroup2 cgroup2 rw,nsdelegate\n")


def test_version_2_takes_the_smallest_limit_on_the_way_up(fake, tmp_path):
    version_2(fake)
    fake("fs/a/b/memory.max", "max\n")
    fake("fs/a/memory.max", "1500000000\n")
    fake("fs/memory.max", "2000000000\n")
    fake("fs/a/b/memory.events", "low 0\noom 3\noom_kill 2\noom_group_kill 1\n")
    group = memory_group(tmp_path / "proc")
    assert group.limit() == 1_500_000_000
    assert group.kills() == 2


def test_version_2_without_limits_has_none(fake, tmp_path):
    version_2(fake)
    fake("fs/a/b/memory.max", "max\n")
    group = memory_group(tmp_path / "proc")
    assert group.limit() is None
    assert group.kills() == 0


def test_version_1_is_read_from_the_memory_controller(fake, tmp_path):
    fake("proc/self/cgroup", "5:cpu,cpuacct:/x\n4:memory:/job\n0::/\n")
    fake(
        "proc/self/mountinfo",
        "30 23 0:26 / {root}/fs/cpu rw - cgroup cgroup rw,cpu,cpuacct\n"
        "31 23 0:27 / {root}/fs/memory rw shared:7 - cgroup cgroup rw,memory\n",
    )
    fake("fs/memory/job/memory.limit_in_bytes", "400000000\n")
    fake("fs/memory/memory.limit_in_bytes", "9223372036854771712\n")
    fake("fs/memory/job/memory.oom_control", "oom_kill_disable 0\nunder_oom 0\noom_kill 5\n")
    group = memory_group(tmp_path / "proc")
    assert group.limit() == 400_000_000
    assert group.kills() == 5


def test_a_container_sees_its_own_group_as_the_root(fake, tmp_path):
    fake("proc/self/cgroup", "4:memory:/docker/abc\n")
    fake("proc/self/mountinfo", "31 23 0:27 /docker/abc {root}/fs rw - cgroup cgroup rw,memory\n")
    fake("fs/memory.limit_in_bytes", "700000000\n")
    assert memory_group(tmp_path / "proc").limit() == 700_000_000


def test_a_machine_without_control_groups_has_no_group(fake, tmp_path):
    assert memory_group(tmp_path / "proc") is None
    fake("proc/self/cgroup", "0::/\n")
    fake("proc/self/mountinfo", "22 1 8:1 / / rw - ext4 /dev/root rw\n")
    assert memory_group(tmp_path / "proc") is None


def test_kills_of_the_machine(fake, tmp_path):
    fake("proc/vmstat", "pgfault 7\noom_kill 12\nnr_free_pages 3\n")
    assert machine_kills(tmp_path / "proc") == 12
    assert machine_kills(tmp_path / "nowhere") == 0


def test_the_limit_of_this_process_is_at_most_the_machine():
    assert 0 < memory_limit() <= os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def group(fake, limit, used="1000000", folder="fs"):
    fake(f"{folder}/memory.max", limit)
    fake(f"{folder}/memory.current", used)
    fake(f"{folder}/memory.stat", "active_file 7\ninactive_file 200000\n")


@pytest.mark.parametrize("machine", [True, False])
@pytest.mark.parametrize(
    ("limit", "left"),
    [
        (None, None),
        ("max\n", None),
        ("1500000\n", 700_000),  # cached files make room
        ("500000\n", 0),
        (str(1 << 62), None),
    ],
)
def test_free_is_the_least_of_what_is_said(fake, tmp_path, machine, limit, left):
    if machine:
        fake("proc/meminfo", "MemTotal:  4000 kB\nMemAvailable:    3000 kB\n")
    if limit is not None:
        version_2(fake, "/")
        group(fake, limit)
    said = [3000 * 1024] * machine + [left] * (left is not None)
    assert free_memory(tmp_path / "proc") == min(said, default=None)


def test_free_is_what_the_tightest_group_on_the_way_up_leaves(fake, tmp_path):
    version_2(fake)
    group(fake, "1500000", folder="fs/a")
    group(fake, "9000000", used="4000000", folder="fs/a/b")
    assert free_memory(tmp_path / "proc") == 700_000


def test_free_in_the_first_version_of_groups(fake, tmp_path):
    fake("proc/self/cgroup", "4:memory:/\n")
    fake("proc/self/mountinfo", "31 23 0:27 / {root}/fs rw - cgroup cgroup rw,memory\n")
    fake("proc/meminfo", "MemAvailable:    3000 kB\n")
    fake("fs/memory.limit_in_bytes", "1000")
    fake("fs/memory.usage_in_bytes", "400")
    assert free_memory(tmp_path / "proc") == 600


def test_this_machine_has_some_free():
    assert (free_memory() or 0) > 1 << 20
