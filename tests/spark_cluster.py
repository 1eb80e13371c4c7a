"""A real standalone Spark on this machine: a master, and workers that can be added and killed."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path

from tests.ports import reserved_port
from tests.processes import children

_SMALL = "-XX:+UseSerialGC -XX:TieredStopAtLevel=1"
_CORES = 3
_SETTINGS = {
    "spark.cores.max": "4",  # two processors are left for a second application
    "spark.driver.extraJavaOptions": _SMALL,
    "spark.driver.maxResultSize": "16m",
    "spark.executor.extraJavaOptions": _SMALL,
    "spark.executor.memory": "512m",
    "spark.ui.enabled": "false",
}
_PATIENCE_SECONDS = 120.0


class SparkCluster:
    """A master and its workers, each a process with its log in a folder.

    An application gets four processors, two of each of two workers.

    Args:
        folder: where logs, settings and work of the cluster go.

    Attributes:
        url: what `open_engine` joins.
        environment: the variables with which a driver takes little memory.
    """

    def __init__(self, folder: Path) -> None:
        from pyspark.find_spark_home import _find_spark_home

        self._folder = folder
        self._start_script = Path(_find_spark_home(), "bin", "spark-class")
        settings = folder / "conf"
        settings.mkdir()
        lines = "".join(f"{name} {value}\n" for name, value in _SETTINGS.items())
        (settings / "spark-defaults.conf").write_text(lines)
        self.environment = {"SPARK_CONF_DIR": str(settings)}
        with reserved_port() as port:
            self.url = f"spark://127.0.0.1:{port}"
            self._master = self._started("master", "master.Master", "--port", str(port))
            self._await("master", "I have been elected leader")
        self.workers: list[subprocess.Popen[bytes]] = []

    def add_workers(self, n: int) -> None:
        """Start workers, and wait until the master knows them."""
        names = [f"worker-{len(self.workers) + i}" for i in range(n)]
        for name in names:
            options = ("--cores", str(_CORES), "--memory", "1g", "--work-dir")
            work = str(self._folder / f"{name}-work")
            self.workers.append(self._started(name, "worker.Worker", *options, work, self.url))
        for name in names:
            self._await(name, "Successfully registered with master")

    def executors(self, worker: int | None = None) -> list[int]:
        """Return the process ids of the executors, of one worker or of all."""
        workers = self.workers if worker is None else [self.workers[worker]]
        return [
            pid
            for each in workers
            for pid in children(each.pid)
            if b"ExecutorBackend" in Path(f"/proc/{pid}/cmdline").read_bytes()
        ]

    def kill_worker(self, worker: int) -> None:
        """Take a worker and its executors away, as if its machine lost power."""
        for pid in self.executors(worker):
            os.kill(pid, signal.SIGKILL)
        self.workers[worker].kill()
        self.workers[worker].wait()

    def close(self) -> None:
        """End all processes of the cluster."""
        for process in [*self.workers, self._master]:
            process.terminate()
        for process in [*self.workers, self._master]:
            process.wait()

    def _started(self, name: str, kind: str, *options: str) -> subprocess.Popen[bytes]:
        environment = {"SPARK_DAEMON_MEMORY": "256m", "SPARK_DAEMON_JAVA_OPTS": _SMALL}
        with (self._folder / f"{name}.log").open("wb") as log:
            return subprocess.Popen(
                [
                    str(self._start_script),
                    f"org.apache.spark.deploy.{kind}",
                    *("--host", "127.0.0.1", "--webui-port", "0"),
                    *options,
                ],
                stdout=log,
                stderr=log,
                env=os.environ | self.environment | environment,
            )

    def _await(self, name: str, sentence: str) -> None:
        log = self._folder / f"{name}.log"
        end = time.monotonic() + _PATIENCE_SECONDS
        while sentence not in (said := log.read_text()):
            assert time.monotonic() < end, f"{name} has not started:\n{said}"
            time.sleep(0.1)
