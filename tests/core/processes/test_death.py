import signal

import pytest

from gristmill.core.processes.death import Death, KillCounts, died

TRACE = """Fatal Python error: Segmentation fault

Current thread 0x00007f (most recent call first):
  File "/home/me/model.py", line 12 in forward
  File "/home/me/train.py", line 40 in <module>
"""


@pytest.mark.parametrize(
    ("found", "reason"),
    [
        (Death(0), "ended by itself (exit code 0)"),
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
    ],
)
def test_the_reason_in_words(found, reason):
    assert found.reason == reason


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
    monkeypatch.setattr(KillCounts, "now", lambda: now)
    found = died(exit_code, KillCounts(1, 1, 500), "where")
    assert (found.out_of_memory, found.memory_limit) == (out_of_memory, limit)
    assert found.crash == ("" if out_of_memory else "where")
