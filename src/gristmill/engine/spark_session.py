"""This process's connection to Spark: it has one at a time, and its engines share it."""

from __future__ import annotations

import logging
import os
import shutil
import signal
import socket
import sys
import tempfile
import threading
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from subprocess import TimeoutExpired
from types import FrameType
from typing import IO, TYPE_CHECKING, Any

from gristmill.core.errors import UsageError
from gristmill.core.packages import package_version
from gristmill.core.processes.place import allowed_processors
from gristmill.engine.shared_connection import SharedConnection
from gristmill.engine.spark_failures import not_started

if TYPE_CHECKING:
    from pyspark import SparkContext

_TRIES = 3
_ANSWER_SECONDS = 5.0
_EXECUTOR_SECONDS = 60.0
_GOODBYE_SECONDS = 10.0
# What a call of Java was interrupted by is raised, too; Py4J would print it as well, some of it by
# the root logger.
_py4j = logging.getLogger("py4j")
_py4j.addHandler(logging.NullHandler())
_py4j.propagate = False
logging.getLogger().addFilter(lambda record: record.module != "java_gateway")
_LOOPBACK = ("127.0.0.1", "localhost", "[::1]")


@dataclass(frozen=True)
class _Connection:
    """What this module opened."""

    context: SparkContext
    log: IO[bytes]
    java_started: bool


class Session:
    """An engine's share of this process's Spark; the last one to leave closes it.

    Args:
        master: any that Spark knows, such as `spark://host:7077`; None for the one in use, else
            Spark on this machine, which ends with the connection.
        processors: how many it may use; None for all.

    A process that has a Spark session of its own keeps it: it is used, and left running.

    Attributes:
        context: Spark's own handle.
        is_unknown: whether workers may have other versions than this process, and nobody has asked.

    Raises:
        UsageError: Java is missing, the master does not answer or has no room, or this process is
            connected to another one.
    """

    def __init__(self, master: str | None, *, processors: int | None = None) -> None:
        from pyspark import SparkContext

        with _shared.lock:
            active = SparkContext._active_spark_context
            if active is None:
                active = _shared.opened(_connect(master, processors)).context
            elif master not in (None, active.master):
                raise UsageError(
                    f"this process is connected to the Spark master {active.master} and cannot "
                    f"join {master} as well",
                    where="engine spark",
                    fix="end that session first, or leave the master out to use it",
                )
            self.context = active
            self._connection: _Connection | None = None
            if _shared.open is not None and _shared.open.context is active:
                self.is_unknown = not _shared.is_used and not is_here(active.master)
                self._connection = _shared.join()
            else:
                self.is_unknown = True
                _choose_python(active)

    def leave(self) -> None:
        """End the connection, if nobody else uses it."""
        connection, self._connection = self._connection, None
        _shared.leave(connection)


def _connect(master: str | None, processors: int | None) -> _Connection:
    from pyspark import SparkContext

    started = SparkContext._gateway is None and "PYSPARK_GATEWAY_PORT" not in os.environ
    if started:
        check_java()
    if master is not None and master.startswith("spark://"):
        _check_answers(master)
    log = tempfile.TemporaryFile()  # noqa: SIM115 - open as long as Java writes to it
    try:
        with _interrupts_kept(), warnings.catch_warnings():
            # pyspark loads its own helpers for tests, which warn of pandas that nobody here uses.
            warnings.simplefilter("ignore", FutureWarning)
            context = _start(master, processors, log)
    except BaseException as error:  # Spark raises anything from its own errors to Java's
        # What Java's errors say, Java is asked for: as long as it is there.
        told = not_started(error, _tail(log)) if isinstance(error, Exception) else None
        if started:
            _end_java()
        if told is None:  # Ctrl-C
            raise
        raise told from error
    connection = _Connection(context, log, started)
    try:
        if not is_here(context.master):
            with interrupts_heard():
                _await_executor(context)
    except BaseException:
        _disconnect(connection)
        raise
    return connection


def is_here(master: str) -> bool:
    """Tell whether a master means the driver's own Java process."""
    return master.partition("[")[0] == "local"


def _start(master: str | None, processors: int | None, log: IO[bytes]) -> SparkContext:
    from pyspark import SparkConf, SparkContext
    from pyspark.java_gateway import launch_gateway

    if SparkContext._gateway is None:
        with _interrupts_held():
            # All that Java prints goes to the log, not to our streams.
            gateway = launch_gateway(popen_kwargs={"stdout": log, "stderr": log})
            SparkContext._ensure_initialized(gateway=gateway)
    conf = SparkConf(_jvm=SparkContext._jvm)
    if master is None and "PYSPARK_GATEWAY_PORT" not in os.environ:  # spark-submit names one
        master = f"local[{processors or len(allowed_processors())},{_TRIES}]"
    if master is not None:
        conf.setMaster(master)
    for name, value in _settings(conf.get("spark.master") or "", processors).items():
        conf.setIfMissing(name, value)
    context = SparkContext(conf=conf)
    _choose_python(context)
    return context


def _choose_python(context: SparkContext) -> None:
    """Have workers run our Python; Spark's own choice is any `python3`.

    What PYSPARK_PYTHON or spark.pyspark.python names stays.
    """
    if "PYSPARK_PYTHON" not in os.environ and context.pythonExec == "python3":
        context.pythonExec = context.getConf().get("spark.pyspark.python") or sys.executable


def _settings(master: str, processors: int | None) -> dict[str, str]:
    """Return what we prefer where neither spark-defaults.conf nor the environment says anything."""
    settings = {
        "spark.app.name": "gristmill",
        "spark.task.maxFailures": str(_TRIES),
        "spark.ui.showConsoleProgress": "false",
    }
    host = master.removeprefix("spark://").rpartition(":")[0]
    if is_here(master):
        settings["spark.ui.enabled"] = "false"
    elif processors is not None:
        settings["spark.cores.max"] = str(processors)
    if is_here(master) or host in _LOOPBACK:
        settings |= {"spark.driver.host": "127.0.0.1", "spark.driver.bindAddress": "127.0.0.1"}
    return settings


def _disconnect(connection: _Connection) -> None:
    from pyspark import SparkContext

    try:
        connection.context.stop()
    except OSError:  # Java has ended by itself
        SparkContext._active_spark_context = None
    if connection.java_started:
        _end_java()
    connection.log.close()


_shared = SharedConnection(_disconnect)


def _end_java() -> None:
    """End the Java process that was started for us; the next connection has one of its own."""
    from pyspark import SparkContext

    gateway: Any = SparkContext._gateway
    if gateway is None:
        return
    gateway.shutdown()
    SparkContext._gateway = SparkContext._jvm = None
    process = gateway.proc
    process.stdin.close()
    try:
        process.wait(_GOODBYE_SECONDS)
    except TimeoutExpired:
        process.kill()
        process.wait()


def check_java() -> None:
    """Check that Spark will find Java.

    Raises:
        UsageError: it will not.
    """
    home = os.environ.get("JAVA_HOME")
    if home and not Path(home, "bin", "java").exists():
        raise UsageError(
            f"there is no Java at JAVA_HOME={home}",
            where="engine spark",
            fix="correct JAVA_HOME, or unset it to use the `java` of PATH",
        )
    if not home and shutil.which("java") is None:
        raise UsageError(
            "Spark needs Java, and there is no `java` on this machine",
            where="engine spark",
            fix="install it (Debian: apt install openjdk-17-jre-headless), or set JAVA_HOME",
        )


def _check_answers(master: str) -> None:
    """Check that somebody listens; Spark itself would try for a minute."""
    hosts = master.removeprefix("spark://").split(",")
    reasons = []
    for each in hosts:
        host, _, port = each.rpartition(":")
        try:
            socket.create_connection((host.strip("[]"), int(port)), _ANSWER_SECONDS).close()
        except OSError as error:
            reasons.append(f"{each}: {error.strerror or error}")
        else:
            return
    raise UsageError(
        f"no Spark master answers at {', '.join(reasons)}",
        where="engine spark",
        fix="check that it runs and that its page shows this very URL; `spark` alone uses this "
        "machine",
    )


def _await_executor(context: SparkContext) -> None:
    """Wait for the first executor; Spark itself would wait for ever."""
    end = time.monotonic() + _EXECUTOR_SECONDS
    while not _has_executor(context):
        if time.monotonic() > end:
            raise UsageError(
                f"the Spark master {context.master} has given no executor for "
                f"{_EXECUTOR_SECONDS:.0f} seconds",
                where="engine spark",
                fix="its page shows whether workers are alive and have cores and memory free; ask "
                "for less (spark.executor.memory, spark.executor.cores), or end other applications",
            )
        time.sleep(0.1)


def _has_executor(context: SparkContext) -> bool:
    """Ask Spark, which may end while it is asked, and Java with it.

    Raises:
        UsageError: it has ended.
    """
    from py4j.protocol import Py4JError

    spark, ended = context._jsc.sc(), None
    try:
        if not spark.isStopped():
            return bool(spark.getExecutorMemoryStatus().size() > 1)  # the driver is counted
    except (Py4JError, OSError) as error:
        ended = error
    raise UsageError(
        f"the Spark master {context.master} turned this application away",
        where="engine spark",
        fix="check that a master is what listens there, and that it runs the Spark that is here "
        f"({package_version('pyspark')}); its log tells more",
    ) from ended


def _tail(log: IO[bytes]) -> str:
    size = os.fstat(log.fileno()).st_size
    return os.pread(log.fileno(), 20_000, max(0, size - 20_000)).decode(errors="replace")


@contextmanager
def _interrupts_kept() -> Iterator[None]:
    """Keep our own answer to Ctrl-C: Spark's would end the jobs of everybody in this process."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.getsignal(signal.SIGINT)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


@contextmanager
def interrupts_heard() -> Iterator[None]:
    """See to it that Ctrl-C ends a block in which Java is asked.

    A `KeyboardInterrupt` that meets a finalizer is printed and forgotten by Python, and Py4J's ask
    Java, too, so that it spends a good part of the time there.

    Raises:
        KeyboardInterrupt: it came in the block.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before, heard = signal.getsignal(signal.SIGINT), threading.Event()

    def note(number: int, frame: FrameType | None) -> None:
        heard.set()
        if callable(before):
            before(number, frame)

    signal.signal(signal.SIGINT, note)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
    if heard.is_set() and before is signal.default_int_handler:
        raise KeyboardInterrupt


@contextmanager
def _interrupts_held() -> Iterator[None]:
    """Answer Ctrl-C at the end of the block, or when it comes again.

    Nobody has a handle of Java before pyspark has heard from it: it would live on for ever.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before, held = signal.getsignal(signal.SIGINT), threading.Event()

    def hold(number: int, frame: FrameType | None) -> None:
        if held.is_set() and callable(before):
            before(number, frame)
        held.set()

    signal.signal(signal.SIGINT, hold)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
    if held.is_set():
        signal.raise_signal(signal.SIGINT)
