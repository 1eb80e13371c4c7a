"""The engine on a real Spark of a master and two workers."""

from __future__ import annotations

import os
import signal
import sys
import threading
import zipfile
from pathlib import Path

import pytest
from tests.clusters import SPARK
from tests.processes import lives

from gristmill.core.errors import StepError, UsageError
from gristmill.engine import open_engine
from gristmill.engine.spark_code import archived
from gristmill.engine.spark_failures import not_started
from gristmill.engine.spark_session import check_java, interrupts_heard


class TestOnACluster:
    pytestmark = SPARK

    def test_it_uses_all_processors(self, spark):
        assert spark.name == "spark"
        assert spark.parallelism == 4

    def test_engines_share_one_connection(self, spark, spark_master, jobs):
        with open_engine(spark_master.url, workers=1) as second, open_engine("spark") as third:
            assert list(second.map(jobs.double, range(3))) == [0, 2, 4]
            assert second.parallelism == 1
            assert list(third.map(jobs.double, [5])) == [10]
        assert list(spark.map(jobs.double, [6])) == [12]

    def test_one_process_joins_one_master(self, spark, spark_master):
        with pytest.raises(UsageError) as error:
            open_engine("spark:local[2]")
        assert str(error.value) == (
            f"engine spark: this process is connected to the Spark master {spark_master.url} and "
            "cannot join local[2] as well\n"
            "  fix: end that session first, or leave the master out to use it"
        )

    def test_functions_of_notebooks_travel(self, spark):
        factor = 3
        assert list(spark.map(lambda x: factor * x, range(3))) == [0, 3, 6]

    def test_workers_have_one_thread(self, spark, jobs):
        names = ["OMP_NUM_THREADS", "POLARS_MAX_THREADS"]
        assert list(spark.map(jobs.environment, names)) == ["1", "1"]

    def test_processes_stay_from_item_to_item(self, spark, jobs):
        pids = set(spark.map(jobs.pid, range(12)))
        assert os.getpid() not in pids
        assert len(pids) <= 4

    def test_large_functions_items_and_results(self, spark):
        block = bytes(3_000_000)
        assert [len(b) for b in spark.map(lambda x: block + x, [block] * 3)] == [6_000_000] * 3
        left = Path(spark._context._temp_dir)
        assert list(left.iterdir()) == []

    def test_a_result_that_the_driver_does_not_accept(self, spark):
        outcomes = list(spark.attempts(bytes, [17_000_000, 10]))
        assert str(outcomes[0].error) == (
            "bytes, item 0: the result takes 17,000,105 bytes, and Spark's driver accepts "
            "15,728,640\n"
            "  fix: use smaller partitions, or raise spark.driver.maxResultSize"
        )
        assert outcomes[1].value == bytes(10)

    def test_what_cannot_be_pickled(self, spark, jobs):
        with pytest.raises(UsageError, match="cannot be sent to worker processes"):
            spark.attempts(threading.Lock().acquire, [1])
        outcomes = list(spark.attempts(jobs.double, [1, threading.Lock()]))
        assert outcomes[0].value == 2
        assert str(outcomes[1].error).startswith("double, item 1: the item cannot be sent")

    def test_leaving_a_map_ends_its_jobs(self, spark, jobs, tmp_path, wait_until):
        outcomes = spark.attempts(jobs.hang, [tmp_path] * 4)
        reader = threading.Thread(target=lambda: list(outcomes))
        reader.start()
        wait_until(lambda: len(list(tmp_path.iterdir())) == 4)
        spark._jobs[0].end()
        reader.join()
        pids = [int(path.name) for path in tmp_path.iterdir()]
        wait_until(lambda: not any(map(lives, pids)))
        assert list(spark.map(jobs.double, [1])) == [2]

    def test_what_a_closed_engine_had_not_done(self, spark, spark_master, jobs):
        with open_engine(spark_master.url, workers=1) as engine:
            outcomes = engine.attempts(jobs.double, range(4))
            assert next(outcomes).value == 0
            engine.close()
        errors = [outcome.error for outcome in outcomes if not outcome.ok]
        assert str(errors[-1]) == "double, item 3: the work was cancelled: its engine was closed"

    def test_there_are_no_actors(self, spark, jobs):
        with pytest.raises(UsageError, match="has no workers that keep state") as error:
            spark.workers(2, jobs.Counter)
        assert "'local' or 'ray'" in str(error.value)

    def test_a_folder_of_code_travels(self, spark, spark_master, tmp_path, monkeypatch):
        (tmp_path / "spark_rules.py").write_text(
            "from pathlib import Path\n"
            "words = (Path(__file__).parent / 'words.txt').read_text().split()\n"
            "def known(word):\n    return word in words\n"
        )
        (tmp_path / "words.txt").write_text("red green")
        monkeypatch.syspath_prepend(tmp_path)
        import spark_rules

        monkeypatch.setattr(sys, "path", [path for path in sys.path if path != str(tmp_path)])
        with pytest.raises(StepError, match="No module named 'spark_rules'"):
            list(spark.map(spark_rules.known, ["red"]))
        with open_engine(spark_master.url, code=tmp_path) as engine:
            assert list(engine.map(spark_rules.known, ["red", "blue"])) == [True, False]

    @pytest.mark.parametrize(
        ("attribute", "value", "message"),
        [
            ("pythonExec", "/no/python", "there is no Python at /no/python on a worker"),
            ("pythonVer", "2.7", "the workers have Python 3.{} where the driver has 2.7"),
        ],
    )
    def test_workers_with_another_python(self, spark, monkeypatch, attribute, value, message):
        monkeypatch.setattr(spark._context, attribute, value)
        with pytest.raises(UsageError) as error:
            spark.check_versions()
        assert error.value.message == message.format(sys.version_info[1])
        assert "PYSPARK_PYTHON" in error.value.fix

    @pytest.mark.skipif(sys.prefix == sys.base_prefix, reason="needs a virtual environment")
    def test_workers_without_gristmill(self, spark, monkeypatch):
        monkeypatch.setattr(spark._context, "pythonExec", sys._base_executable)
        with pytest.raises(UsageError) as error:
            spark.check_versions()
        assert error.value.message == (
            f"the Python of a worker, {sys._base_executable}, cannot import gristmill"
        )


def test_java_is_missing(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("JAVA_HOME", raising=False)
    with pytest.raises(UsageError, match=r"there is no `java` on this machine\n.*openjdk-17"):
        check_java()
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    with pytest.raises(UsageError, match=f"no Java at JAVA_HOME={tmp_path}"):
        check_java()


def test_an_archive_is_named_by_its_content(tmp_path):
    code, first, second = (tmp_path / name for name in ("code", "first", "second"))
    for folder in (code / "rules", code / ".gristmill", code / "__pycache__", first, second):
        folder.mkdir(parents=True)
    for name in ("pipeline.py", "rules/words.py", ".gristmill/store.db", "__pycache__/a.pyc"):
        (code / name).write_text(name)
    (code / "rules" / "words.py").touch()
    one = archived(code, first)
    assert zipfile.ZipFile(one).namelist() == ["pipeline.py", "rules/words.py"]
    os.utime(code / "pipeline.py", (1, 1))
    assert archived(code, second).name == one.name
    (code / "pipeline.py").write_text("edited")
    assert archived(code, second).name != one.name


def test_folders_that_are_not_sent(tmp_path):
    with pytest.raises(UsageError, match="there is no such folder of code"):
        archived(tmp_path / "none", tmp_path)
    with (tmp_path / "data.csv").open("wb") as file:
        file.truncate(101_000_000)
    with pytest.raises(UsageError, match=r"holds 101 MB, most of it in data\.csv") as error:
        archived(tmp_path, tmp_path)
    assert error.value.fix == "keep data and results in another folder, or in a hidden one"


def test_why_spark_did_not_start():
    log = (
        "java.nio.file.NoSuchFileException: /data/environment.tar.gz\n"
        "\tat java.base/sun.nio.fs.UnixException.rethrowAsIOException(UnixException.java:111)\n"
    )
    error = not_started(RuntimeError("Java ended"), log)
    assert error.message == (
        "Spark did not start: java.nio.file.NoSuchFileException: /data/environment.tar.gz"
    )
    assert not_started(RuntimeError("Java ended"), "").message == "Spark did not start: Java ended"


class Finalized:
    """Something whose end takes a signal, as Py4J's handles may."""

    def __del__(self):
        signal.raise_signal(signal.SIGINT)


def drop(*things):
    """Let go of what nobody else has."""


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_ctrl_c_in_a_finalizer_is_heard():
    before = signal.getsignal(signal.SIGINT)
    drop(Finalized())  # Python forgets it
    with pytest.raises(KeyboardInterrupt), interrupts_heard():
        drop(Finalized())
    assert signal.getsignal(signal.SIGINT) is before
    with interrupts_heard():
        pass
