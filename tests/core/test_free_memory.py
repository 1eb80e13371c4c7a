"""Free memory: what the kernel says, a container's limit, and nothing where nothing tells."""

from pathlib import Path

import pytest

from gristmill.core.free_memory import free_memory


def write(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


MACHINE = {"proc/meminfo": "MemTotal:  4000 kB\nMemAvailable:    3000 kB\n"}


def group(limit: str, used: str = "1000000") -> dict[str, str]:
    return {
        "sys/fs/cgroup/memory.max": limit,
        "sys/fs/cgroup/memory.current": used,
        "sys/fs/cgroup/memory.stat": "active_file 7\ninactive_file 200000\n",
    }


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        (MACHINE, 3000 * 1024),
        (MACHINE | group("max\n"), 3000 * 1024),
        (MACHINE | group("1500000\n"), 700_000),  # cached files make room
        (MACHINE | group("500000\n"), 0),
        (MACHINE | group(str(1 << 62)), 3000 * 1024),
        (group("1500000"), 700_000),
        ({}, None),
    ],
)
def test_the_least_of_what_is_said(
    tmp_path: Path, files: dict[str, str], expected: int | None
) -> None:
    assert free_memory(write(tmp_path, files)) == expected


def test_the_first_version_of_groups(tmp_path: Path) -> None:
    files = {
        "sys/fs/cgroup/memory/memory.limit_in_bytes": "1000",
        "sys/fs/cgroup/memory/memory.usage_in_bytes": "400",
    }
    assert free_memory(write(tmp_path, MACHINE | files)) == 600


def test_this_machine_has_some() -> None:
    assert (free_memory() or 0) > 1 << 20
