"""A new interpreter, to fork processes from: it imports from where this one does."""

from __future__ import annotations

import gc
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from importlib import import_module

from gristmill.core.errors import GristmillError
from gristmill.core.processes.place import thread_limits

_CODE = (
    "import sys; sys.path[:] = sys.argv[3:]; import json; from importlib import import_module; "
    "import_module(sys.argv[1]).main(*json.loads(sys.argv[2]))"
)


def start_interpreter(
    module: str, arguments: Sequence[object], fds: Sequence[int], *, threads: int | None = 1
) -> subprocess.Popen[bytes]:
    """Call `main(*arguments)` of a module in a new interpreter.

    It knows nothing of the user's script, is in a session of its own, so that Ctrl-C does not reach
    it, and its numeric libraries have one thread, so that it can be forked, unless told otherwise.

    Args:
        module: its name.
        arguments: what can be said in JSON.
        fds: descriptors that it gets, under the same numbers.
        threads: of numeric libraries; None for as many as they have here.

    Raises:
        OSError: the machine allows no further process.
    """
    limits = {} if threads is None else thread_limits(threads)
    return subprocess.Popen(  # noqa: S603 - our own code, no shell
        [sys.executable, "-c", _CODE, module, json.dumps(arguments), *import_paths()],
        stdin=subprocess.DEVNULL,
        env=os.environ | limits,
        pass_fds=fds,
        start_new_session=True,
    )


def import_paths() -> list[str]:
    """Return where this process imports from, as another one in another folder can use it."""
    return [path or working_folder() for path in sys.path]


def working_folder() -> str:
    """Return the working directory; the root where it was removed."""
    with suppress(OSError):
        return os.getcwd()  # noqa: PTH109
    return "/"


def load(module: str, error: type[GristmillError]) -> None:
    """Import a module, for all processes that are forked later.

    Raises:
        GristmillError: it cannot be imported: an `error` that says what it raised, or what it
            raised itself if that is one of ours.
    """
    try:
        import_module(module)
    except GristmillError as failure:
        failure.message = f"cannot import {module}: {failure.message}"
        raise
    except Exception as failure:  # importing may raise anything
        said = f"cannot import {module}: {type(failure).__name__}: {failure}"
        raise error(said) from failure


def keep_loaded() -> None:
    """Never collect what exists now: each full collection would look at all of it, and in a forked
    process write to, and so copy, each shared page.
    """
    gc.collect()
    gc.freeze()
