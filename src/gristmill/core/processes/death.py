"""Why a process ended, in words."""

from __future__ import annotations

import signal
from dataclasses import dataclass

import msgspec

from gristmill.core.memory import machine_kills, memory_group
from gristmill.core.quantities import format_bytes

_CRASHES = {"SIGSEGV", "SIGBUS", "SIGILL", "SIGFPE", "SIGABRT"}


class Death(msgspec.Struct, frozen=True):
    """What is known of a process that has ended.

    Attributes:
        exit_code: as `subprocess` has it: minus the number of the signal that ended it.
        out_of_memory: whether the kernel killed it because memory ran out.
        memory_limit: bytes that its control group allows, where that was the memory that ran out.
        crash: what Python could say of a crash in native code: a traceback.
    """

    exit_code: int
    out_of_memory: bool = False
    memory_limit: int | None = None
    crash: str = ""

    @property
    def is_crash(self) -> bool:
        """Whether native code broke a rule of the machine."""
        return self.exit_code < 0 and _signal_name(-self.exit_code) in _CRASHES

    @property
    def reason(self) -> str:
        """The reason as one sentence's end: `was killed (SIGKILL)`."""
        if self.exit_code >= 0:
            return f"ended by itself (exit code {self.exit_code})"
        if self.out_of_memory and self.memory_limit is not None:
            limit = format_bytes(self.memory_limit)
            return f"was killed by the kernel: the memory limit of its group, {limit}, is reached"
        if self.out_of_memory:
            return "was killed by the kernel: the memory of this machine is used up"
        name = _signal_name(-self.exit_code)
        if self.is_crash:
            return f"crashed in native code ({name}){_place(self.crash)}"
        return f"was killed ({name})"


@dataclass(frozen=True)
class KillCounts:
    """Counts of the processes that the kernel has killed for want of memory, at one moment."""

    machine: int
    group: int
    limit: int | None

    @classmethod
    def now(cls) -> KillCounts:
        """Read the counts of this process's group and machine."""
        group = memory_group()
        if group is None:
            return cls(machine_kills(), 0, None)
        return cls(machine_kills(), group.kills(), group.limit())


def died(exit_code: int, before: KillCounts, crash: str) -> Death:
    """Describe the end of a process of this process's control group that began at `before`."""
    now = KillCounts.now()
    in_group, anywhere = now.group > before.group, now.machine > before.machine
    if exit_code != -signal.SIGKILL or not (in_group or anywhere):
        return Death(exit_code, crash=crash)
    return Death(exit_code, True, now.limit if in_group else None)


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def _place(crash: str) -> str:
    """Return the innermost Python line of a traceback by `faulthandler`."""
    lines = (line.strip() for line in crash.splitlines())
    return next((f" at {line}" for line in lines if line.startswith("File ")), "")
