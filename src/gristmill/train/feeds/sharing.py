"""Messages to workers, their large arrays in shared memory: each once, for all workers."""

from __future__ import annotations

import io
import threading
import weakref
from typing import Any

import cloudpickle
import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from gristmill.core.closing import Closing
from gristmill.core.errors import TrainError
from gristmill.train.feeds.shared import Shared, SharedHandle, is_plain, named_file

_LARGE = 1 << 16
"""Bytes. What is smaller travels within the message."""

_opened: weakref.WeakValueDictionary[tuple[object, ...], Any] = weakref.WeakValueDictionary()
"""What this process has open: trials that train on the same rows map them once."""
_opening = threading.Lock()


class Sharing(Closing):
    """Pickles messages; arrays and tensors of 64 KiB or more go into shared memory.

    An array that is in several messages is there once, and workers map it without a copy.
    Memory-mapped files stay where they are. An array must not be changed as long as it is shared:
    a worker that opens it later may see either state.
    """

    def __init__(self) -> None:
        self._held: dict[int, tuple[object, Shared]] = {}

    def dumps(self, message: object) -> bytes:
        """Pickle a message for a process of this machine; `pickle.loads` rebuilds it there.

        Raises:
            TrainError: something in it cannot be pickled, or there is no room for an array.
        """
        stream = io.BytesIO()
        try:
            _Pickler(stream, self._handle).dump(message)
        except TrainError:
            raise
        except Exception as error:  # an object's own pickling may raise anything
            raise TrainError(
                f"cannot be sent to a worker: {type(error).__name__}: {error}",
                fix="let model, loss and data hold no locks, open files or connections",
            ) from error
        return stream.getvalue()

    @property
    def nbytes(self) -> int:
        """Bytes in shared memory."""
        return sum(shared.nbytes for _, shared in self._held.values())

    def close(self) -> None:
        """Let the memory go; what is mapped in workers stays until they let it go."""
        for _, shared in self._held.values():
            shared.close()
        self._held.clear()

    def _handle(self, array: object) -> SharedHandle:
        # The array is kept too: as long as it lives, no other object has its id.
        if id(array) not in self._held:
            self._held[id(array)] = (array, Shared(array))
        return self._held[id(array)][1].handle


class _Pickler(cloudpickle.Pickler):  # type: ignore[misc]
    """Pickles with large arrays replaced by handles, memory-mapped files by their names."""

    def __init__(self, stream: io.BytesIO, handle: Any) -> None:
        super().__init__(stream, protocol=5)
        self._handle = handle

    def reducer_override(self, value: Any) -> Any:
        if isinstance(value, np.memmap) and (file := named_file(value)):
            return file
        if _is_large(value):
            return _open, (self._handle(value),)
        return super().reducer_override(value)


def _is_large(value: object) -> bool:
    if isinstance(value, np.ndarray):
        return value.nbytes >= _LARGE and not value.dtype.hasobject
    if type(value) is Tensor:
        return value.device.type == "cpu" and is_plain(value) and value.nbytes >= _LARGE
    return False


def _open(handle: SharedHandle) -> NDArray[Any] | Tensor:
    with _opening:
        known = (handle.path, *handle.identity)
        found: NDArray[Any] | Tensor | None = _opened.get(known)
        if found is None:
            found = _opened[known] = handle.open()
        return found
