"""Where an array lies, for a function in C."""

from __future__ import annotations

import ctypes
from typing import Any

from numpy.typing import NDArray


def pointer(values: NDArray[Any]) -> object:
    """Return a pointer to an array's first element, which holds on to the array or its memory.

    Args:
        values: anywhere in memory.
    """
    try:
        # Less than half the time that `ctypes` of an array takes.
        return ctypes.byref(ctypes.c_char.from_buffer(values))  # type: ignore[arg-type]
    except (TypeError, ValueError):  # not to be written to, its rows lie apart, or it is empty
        return values.ctypes
