import os
import signal
from pathlib import Path

import pytest

from gristmill.train.workers import death
from gristmill.train.workers.death import WITH_NURSERY, Death, KillCounts, died

TRACE = """Fatal Python error: Segmentation fault

Current thread 0x00007f (most recent call first):
  File "/home/me/model.py", line 12 in forward
  File "/home/me/train.py", line 40 in <module>
"""


@pytest.mark.parametrize(
    ("found", "reason"),
    [
        (Death(3), "ended by itself (exit code 3)"),
        (Death(-9), "was killed (SIGKILL)"),
        (Death(-15), "was killed (SIGTERM)"),
        (Death(-99), "was killed (signal 99)"),
        (
            Death(-9, out_of_memory=True, memory_limit=1_500_000_000),
            "was killed by the kernel: the memory limit of its group, 1.50 GB, is reached",
        ),
        (
            Death(-9, out_of_memory=True),
            "was killed by the kernel: the memory of this machine is used up",
        ),
        (Death(-11), "crashed in native code (SIGSEGV)"),
        (
            Death(-11, crash=TRACE),
            'crashed in native code (SIGSEGV) at File "/home/me/model.py", line 12 in forward',
        ),
        (
            WITH_NURSERY,
            "ended with the nursery process, which starts all workers and was killed",
        ),
    ],
)
def test_the_reason_in_words(found, reason):
    assert found.reason == reason


def test_only_want_of_memory_has_a_remedy():
    assert Death(-9).fix is None
    assert "memory=" in Death(-9, out_of_memory=True).fix


@pytest.mark.parametrize(
    ("exit_code", "now", "out_of_memory", "limit"),
    [
        (-signal.SIGKILL, KillCounts(1, 1, 500), False, None),
        (-signal.SIGKILL, KillCounts(2, 2, 500), True, 500),
        (-signal.SIGKILL, KillCounts(2, 2, None), True, None),
        (-signal.SIGKILL, KillCounts(2, 1, 500), True, None),
        (-signal.SIGTERM, KillCounts(2, 2, 500), False, None),
        (1, KillCounts(2, 2, 500), False, None),
    ],
)
def test_a_kill_is_put_down_to_memory_if_the_kernel_counted_one(
    monkeypatch, exit_code, now, out_of_memory, limit
):
    monkeypatch.setattr(death.KillCounts, "now", lambda: now)
    found = died(exit_code, KillCounts(1, 1, 500), "")
    assert (found.out_of_memory, found.memory_limit) == (out_of_memory, limit)


@pytest.fixture
def group():
    """A memory control group of 600 MB; only root can make one, and only on version 1 here."""
    folder = Path(f"/sys/fs/cgroup/memory/gristmill-test-{os.getpid()}")
    try:
        folder.mkdir()
    except OSError as error:
        pytest.skip(f"no memory control group can be made: {error}")
    (folder / "memory.limit_in_bytes").write_text("600000000")
    yield folder
    folder.rmdir()


def test_the_kernel_takes_the_worker_at_the_limit_and_the_reason_says_so(script, group):
    process = script(
        """
        import os, sys
        open(sys.argv[1] + "/cgroup.procs", "w").write(str(os.getpid()))
        from gristmill.train.workers.nursery import nursery
        from gristmill.train.workers.payload import dumps

        class Greedy:
            def __init__(self, rank, pool, values): pass
            def eat(self):
                import torch
                return torch.ones(500_000_000).sum()

        worker = nursery().start(0)
        worker.build(dumps(Greedy))
        try:
            worker.receive().get()
            worker.ask(("eat",))
        except Exception as error:
            print(type(error).__name__, error)
        nursery().close()
        """,
        str(group),
    )
    said, errors = process.communicate(timeout=120)
    assert said == (
        "WorkerLostError worker 0: the process was killed by the kernel: the memory limit of its "
        "group, 600 MB, is reached\n"
        "  fix: give a smaller memory= budget, a smaller batch, more micro-batches\n"
    ), errors
