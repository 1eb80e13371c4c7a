"""Failures of the machine and of our own code, put into words instead of a traceback."""

from __future__ import annotations

import errno
import traceback
from pathlib import Path

from gristmill.core.errors import GristmillError, UsageError

_ADVICE = {
    errno.ENOSPC: "free some space on that disk and run again; finished steps are kept",
    errno.EDQUOT: "free some of your quota and run again; finished steps are kept",
    errno.EACCES: "check who owns the file and its permissions",
    errno.EPERM: "check who owns the file and its permissions",
    errno.EROFS: "the disk is read-only: copy the project to one that can be written",
    errno.EMFILE: "raise the limit of open files (ulimit -n)",
}


def as_gristmill_error(error: Exception) -> GristmillError:
    """Put any exception into one sentence with a remedy."""
    if isinstance(error, OSError):
        return _of_the_machine(error)
    if isinstance(error, MemoryError):
        return GristmillError("out of memory", fix="use smaller partitions or a machine with more")
    if isinstance(error, ModuleNotFoundError) and error.name:
        return _missing_package(error.name)
    frames = traceback.extract_tb(error.__traceback__)
    return GristmillError(
        f"unexpected {type(error).__name__}: {error}",
        where=f"{Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else None,
        fix="run again with --debug to see the traceback, and report it",
    )


def _of_the_machine(error: OSError) -> GristmillError:
    place = str(error.filename) if error.filename else None
    text = error.strerror or str(error)
    return GristmillError(text, where=place, fix=_ADVICE.get(error.errno or 0))


def _missing_package(name: str) -> GristmillError:
    root = name.partition(".")[0]
    extras = {
        "train": {"torch", "safetensors", "optuna"},
        "serve": {"uvicorn", "uvloop", "httptools", "orjson", "websockets"},
        "grpc": {"grpc"},
        "otel": {"opentelemetry"},
        "video": {"av"},
        "postgres": {"psycopg"},
        "mlflow": {"mlflow"},
        "validate": {"duckdb", "hypothesis", "PIL", "tensorflow_metadata", "google"},
    }
    for extra, packages in extras.items():
        if root in packages:
            return UsageError(
                f"this needs the package {root!r}, which is not installed",
                fix=f"pip install 'gristmill[{extra}]'",
            )
    return UsageError(f"the package {root!r} is not installed", fix=f"pip install {root}")
