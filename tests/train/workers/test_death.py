import pytest

from gristmill.core.processes.death import Death
from gristmill.train.workers.death import WITH_NURSERY, WorkerDeath


def test_the_reason_in_words():
    assert WorkerDeath(-9).reason == Death(-9).reason == "was killed (SIGKILL)"
    assert WITH_NURSERY.reason == (
        "ended with the nursery process, which starts all workers and was killed"
    )


def test_only_want_of_memory_has_a_remedy():
    assert WorkerDeath(-9).fix is None
    assert "memory=" in WorkerDeath(-9, out_of_memory=True).fix


@pytest.mark.parametrize(
    ("found", "to_blame"),
    [
        (WorkerDeath(0), True),
        (WorkerDeath(-11), True),
        (WorkerDeath(-9), False),
        (WorkerDeath(-9, out_of_memory=True), True),
        (WITH_NURSERY, False),
    ],
)
def test_who_is_to_blame(found, to_blame):
    assert found.by_its_own_doing is to_blame
