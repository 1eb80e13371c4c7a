import pytest

from gristmill.serve.replicas.death import OUT_OF_MEMORY, Death, memory_kills


@pytest.mark.parametrize(
    ("death", "reason"),
    [
        (Death(1, 0), "ended by itself (exit code 0)"),
        (Death(1, 3), "ended by itself (exit code 3)"),
        (Death(1, OUT_OF_MEMORY), "reached its memory limit"),
        (Death(1, -9), "was killed (SIGKILL)"),
        (Death(1, -9, out_of_memory=True), "was killed by the kernel, as memory was used up"),
        (Death(1, -15, out_of_memory=True), "was killed (SIGTERM)"),
        (Death(1, -11), "crashed in native code (SIGSEGV)"),
        (
            Death(1, -11, crash='Fatal error\n\n  File "a.py", line 3 in f\n  File "b.py"\n'),
            'crashed in native code (SIGSEGV) at File "a.py", line 3 in f',
        ),
        (Death(1, -99), "was killed (signal 99)"),
    ],
)
def test_reasons(death, reason):
    assert death.reason == reason


@pytest.mark.parametrize(
    ("text", "count"), [("nr_free_pages 5\noom_kill 12\nzone 1\n", 12), ("zone 1\n", 0)]
)
def test_kills_are_counted(tmp_path, text, count):
    file = tmp_path / "vmstat"
    file.write_text(text)
    assert memory_kills(file) == count


def test_no_counts_are_no_kills(tmp_path):
    assert memory_kills(tmp_path / "vmstat") == 0
