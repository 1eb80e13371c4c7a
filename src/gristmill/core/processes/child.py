"""A process forked from this one, which learns how it ended; Linux only."""

from __future__ import annotations

import faulthandler
import os
import signal
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import NoReturn

from gristmill.core.processes.death import Death, KillCounts, died
from gristmill.core.processes.packets import close_all

_CRASH_BYTES = 2000


@dataclass
class Child:
    """A forked process and what is held for it.

    Attributes:
        pid: its number, which nobody else can get before it is buried.
        pidfd: becomes readable when it has ended.
        crash_file: where Python writes a traceback if native code crashes.
        kills_before: counts of the kernel's kills when it began.
    """

    pid: int
    pidfd: int
    crash_file: int
    kills_before: KillCounts

    @classmethod
    def fork(cls, live: Callable[[], int]) -> Child:
        """Fork a process that calls `live` and ends with the exit code that this returns.

        What `live` raises is written to standard error. To have only one thread is the caller's
        affair: a fork copies the locks of all threads, but the threads themselves it does not.

        Raises:
            OSError: the machine allows no further process, or this one no further files.
        """
        before = KillCounts.now()
        crash_file = os.memfd_create("gristmill-crash", os.MFD_CLOEXEC)
        pid = None
        try:
            pid = os.fork()
            if pid == 0:
                _end_with(live, crash_file)
            return cls(pid, os.pidfd_open(pid), crash_file, before)
        except OSError:
            os.close(crash_file)
            if pid is not None:
                os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, 0)
            raise

    def bury(self) -> Death:
        """Reap the process, which has ended, close what was held for it and say how it died."""
        _, status = os.waitpid(self.pid, 0)
        crash = os.pread(self.crash_file, _CRASH_BYTES, 0).decode(errors="replace")
        self.close()
        return died(os.waitstatus_to_exitcode(status), self.kills_before, crash)

    def close(self) -> None:
        """Close what is held, as another child must: it is not its own."""
        close_all((self.pidfd, self.crash_file))


def _end_with(live: Callable[[], int], crash_file: int) -> NoReturn:
    code = 1
    try:
        faulthandler.enable(crash_file)
        code = live()
    except BaseException:
        sys.excepthook(*sys.exc_info())
    finally:
        with suppress(Exception):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code)
