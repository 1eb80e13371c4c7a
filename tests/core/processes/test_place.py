import json
import os
import subprocess
import sys

from gristmill.core.processes.place import allowed_processors, thread_limits

TAKE = """
import json, os, sys
from pathlib import Path
from gristmill.core.processes.place import take_place

take_place(threads=3, cores=json.loads(sys.argv[1]), nice=5)
found = [os.environ["OMP_NUM_THREADS"], os.environ["POLARS_MAX_THREADS"], os.nice(0)]
found += [
    int(Path("/proc/self", name).read_text()) for name in ("oom_score_adj", "timerslack_ns")
]
print(json.dumps([*found, sorted(os.sched_getaffinity(0))]))
"""


def place(cores):
    done = subprocess.run(
        [sys.executable, "-c", TAKE, json.dumps(cores)], capture_output=True, check=True
    )
    return json.loads(done.stdout)


def test_a_process_lives_as_was_chosen():
    core = min(os.sched_getaffinity(0))
    assert place([core]) == ["3", "3", min(os.nice(0) + 5, 19), 500, 1, [core]]


def test_a_core_that_is_gone_leaves_all():
    assert place([99_999])[-1] == sorted(os.sched_getaffinity(0))


def test_every_library_is_told():
    limits = thread_limits(2)
    assert {"OMP_NUM_THREADS", "MKL_NUM_THREADS", "RAYON_NUM_THREADS"} < limits.keys()
    assert set(limits.values()) == {"2"}


def test_processors_are_those_of_the_affinity_or_all(monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {3, 1, 2}, raising=False)
    assert allowed_processors() == [1, 2, 3]
    monkeypatch.delattr(os, "sched_getaffinity")
    monkeypatch.setattr(os, "cpu_count", lambda: 2)
    assert allowed_processors() == [0, 1]
