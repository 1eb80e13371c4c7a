"""What Spark says when a task, an executor or a cluster is lost, in our words."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from gristmill.core.errors import StepError, UsageError
from gristmill.engine.failures import WorkerDiedError

if TYPE_CHECKING:
    from collections.abc import Iterable

_SMALLER = "if memory ran out, use smaller partitions, or give executors more memory"


class ExecutorLostError(WorkerDiedError):
    """An executor ended; whatever ran on it was lost, whoever's fault it was."""


def lost(error: Exception, where: str) -> StepError:
    """Return the error for a job that Spark gave up.

    Args:
        error: what the job raised here, in Python.
        where: the item.
    """
    said = str(error)
    if "ExecutorLostFailure" in said:
        return ExecutorLostError(
            f"the Spark executor that it ran on was lost{_tries(said)}: {_reason(said)}",
            where=where,
            fix=_SMALLER,
        )
    if "Python worker exited unexpectedly" in said or "Python worker failed" in said:
        return WorkerDiedError(f"its Python process died{_tries(said)}", where=where, fix=_SMALLER)
    if "spark.driver.maxResultSize" in said:
        return StepError(
            "the result is larger than Spark's driver accepts",
            where=where,
            fix="use smaller partitions, or raise spark.driver.maxResultSize",
        )
    if "cancelled" in said:
        return cancelled(where)
    if _is_gone(error, said):
        return StepError(
            "the Spark application has ended",
            where=where,
            fix="open the engine again; the master's page and log tell why it ended",
        )
    return StepError(f"Spark could not run it: {_essence(said)}", where=where)


def cancelled(where: str) -> StepError:
    """Return the error for work that was under way when its engine was closed."""
    return StepError("the work was cancelled: its engine was closed", where=where)


def not_fitting(error: Exception, python: str) -> UsageError:
    """Return the error for workers that could not even say what they have installed.

    Args:
        error: what the job raised.
        python: the Python that was to run on them.
    """
    said = str(error)
    found = re.search(r"different version: (\S+) than that in driver: (\d+\.\d+)", said)
    if found:
        return UsageError(
            f"the workers have Python {found[1]} where the driver has {found[2]}",
            where="engine spark",
            fix="install the same Python there and name it by PYSPARK_PYTHON, or send an "
            "environment (spark.archives)",
        )
    if "Cannot run program" in said:
        return UsageError(
            f"there is no Python at {python} on a worker",
            where="engine spark",
            fix="set PYSPARK_PYTHON to the path of Python there, or send an environment "
            "(spark.archives)",
        )
    if missing := re.search(r"No module named '([\w.]+)'", said):
        return UsageError(
            f"the Python of a worker, {python}, cannot import {missing[1]}",
            where="engine spark",
            fix="install gristmill[spark], the version that is here, there, or send an "
            "environment (spark.archives)",
        )
    return UsageError(f"the workers cannot run Python: {_essence(said)}", where="engine spark")


def not_started(error: Exception, log: str) -> UsageError:
    """Return the error for a Spark that did not start.

    Args:
        error: what starting it raised.
        log: what Java wrote.
    """
    lines = [line.strip() for line in log.splitlines() if _is_telling(line)]
    said = lines[-1] if lines else _essence(str(error))
    return UsageError(
        f"Spark did not start: {said}",
        where="engine spark",
        fix="use spark://host:7077, or a master that Spark knows, such as spark:yarn; `spark` "
        "alone uses this machine"
        if "Could not parse Master URL" in said
        else "Spark 4 needs Java 17 or later; check JAVA_HOME and spark-defaults.conf",
    )


def _is_gone(error: Exception, said: str) -> bool:
    return (
        type(error).__name__ in ("Py4JNetworkError", "ConnectionRefusedError", "AttributeError")
        or isinstance(error, OSError)
        or "stopped SparkContext" in said
        or "SparkContext was shut down" in said
        or "SparkContext has been shutdown" in said
    )


def _tries(said: str) -> str:
    found = re.search(r"failed (\d+) times", said)
    return f", {found[1]} times" if found and found[1] != "1" else ""


def _reason(said: str) -> str:
    found = re.search(r"Reason: ([^\n]*)", said)
    return found[1].strip() if found else "no reason was given"


def _essence(said: str) -> str:
    """Return the line of a Java stack trace, with Python's perhaps inside it, that says most."""
    if raised := re.search(r"Traceback \(most recent call last\):\n(?:[ ].*\n)*(\S.*)", said):
        return _short([raised[1]])
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    causes = [line.removeprefix("Caused by: ") for line in lines if line.startswith("Caused by: ")]
    return _short(causes[-1:] or lines[1:2] or lines[:1])


def _short(lines: Iterable[str]) -> str:
    return next(iter(lines), "no reason was given")[:500]


def _is_telling(line: str) -> bool:
    """Tell whether a line of Java's log says what is wrong, and not merely where it was found."""
    return not line.lstrip().startswith("at ") and any(
        word in line for word in ("Exception", "Error", "error:", "JAVA_HOME")
    )
