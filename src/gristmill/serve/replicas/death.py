"""Why a replica process ended, in words."""

from __future__ import annotations

import signal
from pathlib import Path

import msgspec

OUT_OF_MEMORY = 77
"""Exit code of a replica that has used up the memory it was allowed."""

_CRASHES = {"SIGSEGV", "SIGBUS", "SIGILL", "SIGFPE", "SIGABRT"}


class Death(msgspec.Struct, frozen=True):
    """What is known of a process that has ended.

    Attributes:
        number: of the process.
        exit_code: as `subprocess` has it: minus the number of the signal that ended it.
        out_of_memory: whether the kernel killed some process for want of memory in its life.
        crash: what Python could say of a crash in native code: a traceback.
    """

    number: int
    exit_code: int
    out_of_memory: bool = False
    crash: str = ""

    @property
    def reason(self) -> str:
        """The reason as one sentence's end: `was killed (SIGKILL)`."""
        if self.exit_code == OUT_OF_MEMORY:
            return "reached its memory limit"
        if self.exit_code >= 0:
            return f"ended by itself (exit code {self.exit_code})"
        name = _signal_name(-self.exit_code)
        if name in _CRASHES:
            return f"crashed in native code ({name}){_place(self.crash)}"
        if name == "SIGKILL" and self.out_of_memory:
            return "was killed by the kernel, as memory was used up"
        return f"was killed ({name})"


def memory_kills(vmstat: Path = Path("/proc/vmstat")) -> int:
    """Return how many processes this machine's kernel has killed for want of memory."""
    try:
        lines = vmstat.read_text(encoding="ascii").splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith("oom_kill ")), 0)


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def _place(crash: str) -> str:
    """Return the innermost Python line of a traceback by `faulthandler`."""
    lines = (line.strip() for line in crash.splitlines())
    return next((f" at {line}" for line in lines if line.startswith("File ")), "")
