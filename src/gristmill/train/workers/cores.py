"""Which cores this process may use."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from gristmill.core.processes.place import allowed_processors

_SYSTEM = Path("/sys/devices/system/cpu")
_GROUPS = Path("/sys/fs/cgroup")


def usable_cores(system: Path = _SYSTEM, groups: Path = _GROUPS) -> tuple[int, ...]:
    """Return the cores that work is to run on: one logical processor of each physical core.

    Two logical processors of one core share the units that multiply, so a second worker there
    gains little. A container's limit on CPU time counts as that many cores, rounded down.

    Args:
        system: folder that describes the processors.
        groups: folder of the control groups.
    """
    cores = first_of_each(allowed_processors(), system)
    limit = cpu_limit(groups)
    return tuple(cores if limit is None else cores[: max(1, int(limit))])


def first_of_each(processors: Iterable[int], system: Path) -> list[int]:
    """Return the first of the processors on each physical core, in order."""
    seen: set[str] = set()
    cores = []
    for processor in processors:
        core = _text(system / f"cpu{processor}/topology/thread_siblings_list") or str(processor)
        if core not in seen:
            seen.add(core)
            cores.append(processor)
    return cores


def cpu_limit(groups: Path) -> float | None:
    """Return the processors that the control group's quota of CPU time amounts to, if there is one.

    Args:
        groups: folder of the control groups, as a container sees it.
    """
    quota, _, period = _text(groups / "cpu.max").partition(" ")
    if not quota:
        quota = _text(groups / "cpu/cpu.cfs_quota_us")
        period = _text(groups / "cpu/cpu.cfs_period_us")
    if not quota.isdecimal() or not period.isdecimal() or int(period) == 0:
        return None
    return int(quota) / int(period)


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii").strip()
    except OSError:
        return ""
