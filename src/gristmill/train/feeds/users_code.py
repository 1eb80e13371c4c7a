"""What went wrong in code that is the user's: told as an error, with the place in their file."""

from __future__ import annotations

import sysconfig
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

from gristmill.core.errors import GristmillError, TrainError

_PACKAGE = Path(__file__).resolve().parents[2]
_NOT_THEIRS = (
    str(_PACKAGE),
    str(Path(torch.__file__).parent),
    *{sysconfig.get_path(name) for name in ("stdlib", "purelib", "platlib")},
    "<",
)
"""What the files of frames begin with that users did not write: `<` is code made on the way. A
cell of a notebook is a file of its own in a temporary folder."""


@contextmanager
def users_code(what: str, fix: str | None = None) -> Iterator[None]:
    """Run users' code; what it raises becomes a `TrainError` that tells what, why and where.

    Errors of this package, and those that say that memory has run out, pass as they are.

    Args:
        what: the code's part, as "the model".
        fix: what may help.
    """
    try:
        yield
    except Exception as error:
        raise told(what, error, fix) from error


def told(what: str, error: Exception, fix: str | None = None) -> Exception:
    """Return the error to raise in the place of one that users' code raised; see `users_code`."""
    if isinstance(error, GristmillError | MemoryError | torch.OutOfMemoryError):
        return error
    reason = f"{type(error).__name__}: {error}".strip()
    return TrainError(f"{what} failed: {reason}", where=_place(error), fix=fix)


def _place(error: Exception) -> str | None:
    """Return file and line of the innermost frame that is the user's, None where there is none."""
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        if not frame.filename.startswith(_NOT_THEIRS):
            return f"{Path(frame.filename).name}:{frame.lineno}, in {frame.name}"
    return None
