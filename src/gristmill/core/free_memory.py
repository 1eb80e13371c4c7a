"""How much memory there is for more, by the machine and by the group that the process is in."""

from __future__ import annotations

from pathlib import Path

_UNLIMITED = 1 << 60
"""Groups without a limit say a number near the largest there is."""
_GROUPS = (
    ("sys/fs/cgroup", "memory.max", "memory.current"),
    ("sys/fs/cgroup/memory", "memory.limit_in_bytes", "memory.usage_in_bytes"),
)


def free_memory(root: Path = Path("/")) -> int | None:
    """Return the bytes that can be taken without swapping; None where nothing tells.

    The kernel's estimate (`MemAvailable`, proc(5)), or what is left of a container's limit, if that
    is less. Cached files count as free: they make room.

    Args:
        root: the folder that `proc` and `sys` are in.
    """
    found = [_available(root / "proc/meminfo")]
    found += [_left(root / folder, *files) for folder, *files in _GROUPS]
    known = [each for each in found if each is not None]
    return min(known) if known else None


def _available(file: Path) -> int | None:
    for line in _lines(file):
        name, _, rest = line.partition(":")
        if name == "MemAvailable":
            return int(rest.split()[0]) * 1024
    return None


def _left(group: Path, limit_file: str, used_file: str) -> int | None:
    """Return what is left of a group's limit; None where there is none."""
    limit, used = _number(group / limit_file), _number(group / used_file)
    if limit is None or used is None or limit >= _UNLIMITED:
        return None
    cached = [line.split()[1] for line in _lines(group / "memory.stat")
              if line.startswith("inactive_file ")]  # fmt: skip
    return max(limit - used + sum(map(int, cached)), 0)


def _number(file: Path) -> int | None:
    words = "".join(_lines(file)).strip()
    return int(words) if words.isdigit() else None


def _lines(file: Path) -> list[str]:
    try:
        return file.read_text().splitlines()
    except OSError:
        return []
