"""The C files of this folder as one library, compiled for this machine and kept for later.

A kernel that knows which rectangle it computes saves what calls, copies and passes through memory
cost, and adds up every pixel in one order by how it is written. A wheel for every processor would
have to be built beforehand; a compiler is on most machines that train models, and where there is
none, oneDNN's kernels do the work.
"""

from __future__ import annotations

import ctypes
import hashlib
import logging
import os
import platform
import shlex
import shutil
import stat
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from importlib.resources import files
from pathlib import Path

from gristmill.data.download import cache_folder

log = logging.getLogger(__name__)

SWITCH = "GRISTMILL_NATIVE"
"""Environment variable; `off` has nothing compiled."""

_FLAGS = ("-std=gnu11", "-O3", "-march=native", "-ffp-contract=fast", "-fno-math-errno",
          "-fPIC", "-shared")  # fmt: skip
_SECONDS = 600.0


@cache
def library() -> ctypes.CDLL | None:
    """Return the library; None where it is switched off or cannot be had, which is logged."""
    if os.environ.get(SWITCH, "").lower() in ("off", "0", "no", "false"):
        return None
    compiler = shlex.split(os.environ.get("CC") or "cc")
    if shutil.which(compiler[0]) is None:
        log.info("no C compiler found (%s): slower kernels are used", compiler[0])
        return None
    try:
        return _loaded(compiler)
    except (OSError, subprocess.SubprocessError) as error:
        said = getattr(error, "stderr", None) or str(error)
        log.warning("C kernels cannot be used here, slower ones are: %s", said)
        return None


def _loaded(compiler: Sequence[str]) -> ctypes.CDLL:
    """The library, compiled if it is not kept already."""
    sources = _sources()
    with _folder() as folder:
        path = folder / f"kernels-{_key(compiler, sources)}.so"
        if not path.exists():
            _compile(compiler, sources, path)
        return ctypes.CDLL(str(path))


def _compile(compiler: Sequence[str], sources: dict[str, str], path: Path) -> None:
    with tempfile.TemporaryDirectory(dir=path.parent) as place:
        for name, text in sources.items():
            Path(place, name).write_text(text, encoding="utf-8")
        made = Path(place, path.name)
        names = [name for name in sources if name.endswith(".c")]
        subprocess.run(  # noqa: S603 - the user's compiler, our own files, no shell
            [*compiler, *_FLAGS, *names, "-o", made.name, "-lm"],
            cwd=place, check=True, capture_output=True, text=True, timeout=_SECONDS,
        )  # fmt: skip
        made.replace(path)  # two processes may compile it at once


def _sources() -> dict[str, str]:
    here = files(__package__ or "")
    return {
        entry.name: entry.read_text(encoding="utf-8")
        for entry in sorted(here.iterdir(), key=lambda e: e.name)
        if entry.name.endswith((".c", ".h"))
    }


def _key(compiler: Sequence[str], sources: dict[str, str]) -> str:
    """Digest of everything that the library depends on, the processor among it."""
    said = repr((list(compiler), _FLAGS, sources, _processor()))
    return hashlib.sha256(said.encode()).hexdigest()[:24]


def _processor() -> str:
    """What the processor can do: homes are shared by machines that differ."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.platform() + platform.processor()
    return next((line for line in lines if line.startswith(("flags", "Features"))), "")


@contextmanager
def _folder() -> Iterator[Path]:
    """Where the library lies: the user's cache, or a folder that is deleted once it is loaded."""
    try:
        kept = _kept_folder()
    except OSError as error:
        log.info("C kernels are compiled anew in every process: %s", error)
        with tempfile.TemporaryDirectory(prefix="gristmill-", ignore_cleanup_errors=True) as place:
            yield Path(place)
    else:
        yield kept


def _kept_folder() -> Path:
    """The user's folder for what can be made anew.

    Raises:
        OSError: it cannot be made, or others may write to it.
    """
    folder = cache_folder() / "kernels"
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    if not os.access(folder, os.W_OK):
        raise PermissionError(f"{folder} cannot be written to")
    if hasattr(os, "getuid"):  # elsewhere (Windows) a home's own rights have to do
        found = folder.stat()
        if found.st_uid != os.getuid() or found.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
            raise PermissionError(f"others may write to {folder}")
    return folder
