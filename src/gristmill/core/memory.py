"""How much memory this process may use, how much is free, and whether the kernel killed for want.

Control groups of both versions are read (Linux kernel documentation, admin-guide/cgroup-v1/memory
and admin-guide/cgroup-v2); a process has the smallest limit of its group and the groups above it.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_UNLIMITED = 1 << 60
"""Version 1 writes "no limit" as a number close to 2**63."""


@dataclass(frozen=True)
class MemoryGroup:
    """The memory control group of a process.

    Attributes:
        folder: where the group's files are.
        top: the folder of the outermost group that can be seen.
        limit_file: name of the file with the limit in bytes.
        used_file: name of the file with the bytes in use.
        events_file: name of the file with the count of kills.
    """

    folder: Path
    top: Path
    limit_file: str
    used_file: str
    events_file: str

    def limit(self) -> int | None:
        """Return the smallest limit in bytes of this group and those above, if there is any."""
        limits = [limit for folder in self._upwards() if (limit := self._own_limit(folder))]
        return min(limits, default=None)

    def left(self) -> int | None:
        """Return the bytes that the limits of this group and those above leave, if there are any.

        Cached files count as free: they make room.
        """
        found = [self._own_left(folder) for folder in self._upwards()]
        return min((left for left in found if left is not None), default=None)

    def kills(self) -> int:
        """Return how many processes of this group were killed because memory ran out."""
        for line in _lines(self.folder / self.events_file):
            name, _, count = line.partition(" ")
            if name == "oom_kill":
                return int(count)
        return 0

    def _upwards(self) -> Iterator[Path]:
        yield self.folder
        if self.folder != self.top:
            yield from (folder for folder in self.folder.parents if folder.is_relative_to(self.top))

    def _own_limit(self, folder: Path) -> int | None:
        number = _number(folder / self.limit_file)
        return None if number is None or number >= _UNLIMITED else number

    def _own_left(self, folder: Path) -> int | None:
        limit, used = self._own_limit(folder), _number(folder / self.used_file)
        if limit is None or used is None:
            return None
        cached = [line.split()[1] for line in _lines(folder / "memory.stat")
                  if line.startswith("inactive_file ")]  # fmt: skip
        return max(limit - used + sum(map(int, cached)), 0)


def memory_group(proc: Path = Path("/proc")) -> MemoryGroup | None:
    """Return the memory control group of this process; None where there is none to be seen.

    Args:
        proc: the folder of the process file system.
    """
    paths = dict(_group_paths(proc))
    mounts = dict(_group_mounts(proc))
    for key, limit_file, used_file, events_file in (
        ("memory", "memory.limit_in_bytes", "memory.usage_in_bytes", "memory.oom_control"),
        ("", "memory.max", "memory.current", "memory.events"),
    ):
        if key not in paths or key not in mounts:
            continue
        root, top = mounts[key]
        folder = top / _below(paths[key], root)
        if (folder / events_file).is_file() or (folder / limit_file).is_file():
            return MemoryGroup(folder, top, limit_file, used_file, events_file)
    return None


def memory_limit() -> int:
    """Return the bytes of memory that this process may use: the machine's, or its group's."""
    installed = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    group = memory_group()
    return min(installed, (group and group.limit()) or installed)


def free_memory(proc: Path = Path("/proc")) -> int | None:
    """Return the bytes that can be taken without swapping; None where nothing tells.

    The kernel's estimate (`MemAvailable`, proc(5)), or what is left of the group's limits, if that
    is less.

    Args:
        proc: the folder of the process file system.
    """
    group = memory_group(proc)
    found = [_available(proc / "meminfo"), None if group is None else group.left()]
    return min((each for each in found if each is not None), default=None)


def machine_kills(proc: Path = Path("/proc")) -> int:
    """Return how many processes the kernel of this machine has killed for want of memory."""
    for line in _lines(proc / "vmstat"):
        if line.startswith("oom_kill "):
            return int(line.split()[1])
    return 0


def _available(file: Path) -> int | None:
    for line in _lines(file):
        name, _, rest = line.partition(":")
        if name == "MemAvailable":
            return int(rest.split()[0]) * 1024
    return None


def _group_paths(proc: Path) -> Iterator[tuple[str, str]]:
    """Yield (controller, path of the group); the controller of version 2 is the empty string."""
    for line in _lines(proc / "self/cgroup"):
        _, controllers, path = line.split(":", 2)
        for controller in controllers.split(","):
            yield controller, path


def _group_mounts(proc: Path) -> Iterator[tuple[str, tuple[str, Path]]]:
    """Yield (controller, (group that is mounted, where))."""
    for line in _lines(proc / "self/mountinfo"):
        words = line.split()
        kind, options = words[words.index("-") + 1], words[-1].split(",")
        root, place = words[3], Path(words[4])
        if kind == "cgroup2":
            yield "", (root, place)
        elif kind == "cgroup":
            yield from ((option, (root, place)) for option in options)


def _below(path: str, root: str) -> str:
    # In a container the mounted root is often the container's own group.
    return path.removeprefix(root.rstrip("/")).strip("/")


def _number(path: Path) -> int | None:
    words = [word for line in _lines(path) for word in line.split()]
    return int(words[0]) if words and words[0].isdecimal() else None


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8").splitlines()
    except OSError:
        return []
