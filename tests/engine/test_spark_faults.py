"""Processes of a real Spark die in the middle: every item comes out once, or tells why not."""

from __future__ import annotations

import signal
import subprocess
import sys
import textwrap
from functools import partial
from pathlib import Path

import pytest
from tests.clusters import SPARK
from tests.processes import children, lives

pytestmark = SPARK


def test_an_executor_is_killed(spark, spark_jobs, tmp_path):
    items = range(8)
    outcomes = spark.attempts(partial(spark_jobs.kill_executor_once, str(tmp_path)), items)
    assert [outcome.value for outcome in outcomes] == [(x, f"value {x}") for x in items]
    begun = [path.name.split("-")[0] for path in tmp_path.iterdir()]
    assert begun.count("2") == 2


def test_a_worker_is_lost_with_its_executors(spark, spark_master, spark_jobs, tmp_path):
    items = range(16)
    outcomes = spark.attempts(partial(spark_jobs.noted, str(tmp_path)), items)
    first = next(outcomes)
    spark_master.kill_worker(0)
    try:
        found = [first, *outcomes]
    finally:
        spark_master.add_workers(1)
    assert [outcome.value for outcome in found] == [(x, f"value {x}") for x in items]


def test_an_item_that_always_kills_its_process(spark, jobs):
    outcomes = list(spark.attempts(jobs.kill_on_two, range(8)))
    assert [outcome.value for outcome in outcomes] == [0, 1, None, 3, 4, 5, 6, 7]
    assert str(outcomes[2].error) == (
        "kill_on_two, item 2: its Python process died, 3 times\n"
        "  fix: if memory ran out, use smaller partitions, or give executors more memory"
    )


def test_an_item_that_always_kills_its_executor(spark, spark_jobs):
    """Its neighbours on the executor are lost with it each time, and still come out."""
    outcomes = list(spark.attempts(spark_jobs.kill_executor_on_two, range(8)))
    assert [outcome.value for outcome in outcomes] == [0, 1, None, 3, 4, 5, 6, 7]
    error = outcomes[2].error
    assert error is not None
    assert error.where == "kill_executor_on_two, item 2"
    assert error.message.startswith("the Spark executor that it ran on was lost, 3 times: ")


_DRIVER = """
    import sys
    sys.path.insert(0, sys.argv[2])
    from functools import partial
    from gristmill.engine import open_engine
    from spark_jobs import noted

    if __name__ == "__main__":
        with open_engine(sys.argv[1], workers=2) as engine:
            for value in engine.map(partial(noted, sys.argv[3]), range(100_000)):
                print(value, flush=True)
"""


def ended(driver: subprocess.Popen[str], by: int) -> str:
    """End a driver by a signal and return what it said.

    Python drops an interrupt that comes while an object is finalised, and Py4J's objects take long
    to be; whoever sees the program go on presses the keys again.
    """
    for _ in range(6):
        driver.send_signal(by)
        try:
            return driver.communicate(timeout=30)[1]
        except subprocess.TimeoutExpired:
            continue
    driver.kill()
    raise AssertionError("it goes on whatever the signals")


@pytest.mark.parametrize("by", [signal.SIGKILL, signal.SIGINT])
def test_the_driver_is_killed(spark_master, tmp_path, wait_until, by):
    script, noted = tmp_path / "driver.py", tmp_path / "noted"
    script.write_text(textwrap.dedent(_DRIVER))
    noted.mkdir()
    spark_master.add_workers(1)  # room for its executors, wherever the engine's own are by now
    here = str(Path(__file__).parent)
    driver = subprocess.Popen(
        [sys.executable, str(script), spark_master.url, here, str(noted)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert driver.stdout is not None
    first = driver.stdout.readline()
    assert first == "(0, 'value 0')\n", driver.communicate()[1]
    said = ended(driver, by)
    pids = {int(part) for path in noted.iterdir() for part in path.name.split("-")[1:3]}
    wait_until(lambda: not any(map(lives, pids)))
    if by == signal.SIGINT:
        assert said.rstrip().endswith("KeyboardInterrupt")
        assert "Py4J" not in said


def test_ctrl_c_while_java_starts(spark_master, tmp_path, wait_until):
    """Java that nobody waits for any more would stay for ever."""
    script = tmp_path / "driver.py"
    script.write_text(
        "import sys\nfrom gristmill.engine import open_engine\nopen_engine(sys.argv[1])\n"
    )
    driver = subprocess.Popen(
        [sys.executable, str(script), spark_master.url], stderr=subprocess.PIPE, text=True
    )
    wait_until(lambda: bool(children(driver.pid)))
    (java,) = children(driver.pid)
    said = ended(driver, signal.SIGINT)
    assert said.rstrip().endswith("KeyboardInterrupt")
    assert said.count("Traceback") == 1
    wait_until(lambda: not lives(java))
