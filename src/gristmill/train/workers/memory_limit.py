"""How much memory this process may use, and whether the kernel has killed for want of it.

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
        events_file: name of the file with the count of kills.
    """

    folder: Path
    top: Path
    limit_file: str
    events_file: str

    def limit(self) -> int | None:
        """Return the smallest limit in bytes of this group and those above, if there is any."""
        limits = [limit for folder in self._upwards() if (limit := self._own_limit(folder))]
        return min(limits, default=None)

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
        words = [word for line in _lines(folder / self.limit_file) for word in line.split()]
        number = int(words[0]) if words and words[0].isdecimal() else _UNLIMITED
        return number if number < _UNLIMITED else None


def memory_group(proc: Path = Path("/proc")) -> MemoryGroup | None:
    """Return the memory control group of this process; None where there is none to be seen.

    Args:
        proc: the folder of the process file system.
    """
    paths = dict(_group_paths(proc))
    mounts = dict(_group_mounts(proc))
    for key, limit_file, events_file in (
        ("memory", "memory.limit_in_bytes", "memory.oom_control"),
        ("", "memory.max", "memory.events"),
    ):
        if key not in paths or key not in mounts:
            continue
        root, top = mounts[key]
        folder = top / _below(paths[key], root)
        if (folder / events_file).is_file() or (folder / limit_file).is_file():
            return MemoryGroup(folder, top, limit_file, events_file)
    return None


def memory_limit() -> int:
    """Return the bytes of memory that this process may use: the machine's, or its group's."""
    installed = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    group = memory_group()
    return min(installed, (group and group.limit()) or installed)


def machine_kills(proc: Path = Path("/proc")) -> int:
    """Return how many processes the kernel of this machine has killed for want of memory."""
    for line in _lines(proc / "vmstat"):
        if line.startswith("oom_kill "):
            return int(line.split()[1])
    return 0


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


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8").splitlines()
    except OSError:
        return []
