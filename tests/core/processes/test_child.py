import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest


@pytest.fixture
def told():
    """Run a script that forks in a process of its own, with one thread; return what it says."""

    def run(source, *args):
        return subprocess.run(
            [sys.executable, "-c", textwrap.dedent(source), *args],
            capture_output=True,
            text=True,
            check=False,
        )

    return run


def test_it_is_told_how_each_child_ended(told):
    said = told(
        """
        import ctypes, os, signal
        from gristmill.core.processes.child import Child

        def fail():
            raise ValueError("as it is")

        def files():
            return sorted(os.listdir("/proc/self/fd"))

        before = files()
        for live in (
            lambda: 0,
            lambda: 3,
            fail,
            lambda: os.kill(os.getpid(), signal.SIGKILL),
            lambda: ctypes.string_at(0),
        ):
            child = Child.fork(live)
            os.waitid(os.P_PIDFD, child.pidfd, os.WEXITED | os.WNOWAIT)
            print(child.bury().reason, files() == before, flush=True)
        """
    )
    *ended, crashed = said.stdout.splitlines()
    assert ended == [
        "ended by itself (exit code 0) True",
        "ended by itself (exit code 3) True",
        "ended by itself (exit code 1) True",
        "was killed (SIGKILL) True",
    ]
    assert crashed.startswith("crashed in native code (SIGSEGV) at File ")
    assert crashed.endswith(" in string_at True")
    assert said.stderr.endswith("ValueError: as it is\n")


@pytest.mark.parametrize("name", ["fork", "pidfd_open"])
def test_a_fork_that_fails_leaves_nothing(told, name):
    said = told(
        """
        import os, sys, time
        from gristmill.core.processes.child import Child

        def refused(*_):
            raise BlockingIOError(11, "Resource temporarily unavailable")

        before = os.listdir("/proc/self/fd")
        setattr(os, sys.argv[1], refused)
        try:
            Child.fork(lambda: time.sleep(60))
        except OSError as error:
            print(error)
        print(os.listdir("/proc/self/fd") == before)
        try:
            os.wait()
        except ChildProcessError:
            print("no child")
        """,
        name,
    )
    assert said.stdout == "[Errno 11] Resource temporarily unavailable\nTrue\nno child\n"


@pytest.fixture
def group():
    """A memory control group of 60 MB; only root can make one, and only on version 1 here."""
    folder = Path(f"/sys/fs/cgroup/memory/gristmill-test-{os.getpid()}")
    try:
        folder.mkdir()
    except OSError as error:
        pytest.skip(f"no memory control group can be made: {error}")
    (folder / "memory.limit_in_bytes").write_text("60000000")
    yield folder
    folder.rmdir()


def test_the_kernel_takes_the_child_at_the_limit_and_the_reason_says_so(told, group):
    said = told(
        """
        import os, sys
        from gristmill.core.processes.child import Child
        from gristmill.core.processes.place import take_place

        open(sys.argv[1] + "/cgroup.procs", "w").write(str(os.getpid()))

        def eat():
            take_place()
            return len(bytearray(b"x" * 100_000_000))

        print(Child.fork(eat).bury().reason)
        """,
        str(group),
    )
    assert said.stdout == (
        "was killed by the kernel: the memory limit of its group, 60.0 MB, is reached\n"
    ), said.stderr
