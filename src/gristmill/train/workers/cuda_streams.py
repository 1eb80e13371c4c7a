"""A GPU's streams, through torch: the only code that calls CUDA to move records.

It has run on no GPU yet: the tests of this file are skipped where there is none. All that decides
what is copied when is in `jobs.device_memory`, and is tested bit for bit over `late_streams`.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress

import torch
from torch import Tensor

from gristmill.train.workers.streams import Copies, Mark

_SUCCESS = 0


class CudaMark:
    """An event on a stream."""

    def __init__(self, stream: torch.cuda.Stream) -> None:
        self.event = torch.cuda.Event()
        self.event.record(stream)

    def reached(self) -> bool:
        """Say whether the device is past it."""
        return bool(self.event.query())

    def wait(self) -> None:
        """Wait, without holding the interpreter's lock, until the device is past it."""
        self.event.synchronize()


class CudaStreams:
    """One stream to compute on (torch's current one), one for copies up, one for copies down.

    Args:
        device: as `cuda:0`.
        host: the host's memory that is copied from and to, uint8[n]; it is page-locked, since only
            then do copies run beside computing.
        most_bytes: that torch may allocate on the device; 0 for no limit.

    Attributes:
        device: as handed in.
        said: why the host's memory is not page-locked; empty where it is.
    """

    def __init__(self, device: str, host: Tensor, most_bytes: int = 0) -> None:
        self.device = torch.device(device)
        torch.cuda.set_device(self.device)
        if most_bytes:
            total = torch.cuda.get_device_properties(self.device).total_memory
            torch.cuda.set_per_process_memory_fraction(min(1.0, most_bytes / total), self.device)
        self._up, self._down = torch.cuda.Stream(self.device), torch.cuda.Stream(self.device)
        self._host = host
        self.said = _lock_pages(host, self.device)

    def room(self, nbytes: int) -> Tensor:
        """Return memory of the device; torch aligns what it allocates to 512 bytes."""
        return torch.empty(nbytes, dtype=torch.uint8, device=self.device)

    def up(self, copies: Copies, after: Iterable[Mark] = ()) -> Mark:
        """Copy to the device, beside what it computes."""
        return _copy(self._up, copies, after)

    def down(self, copies: Copies, after: Iterable[Mark]) -> Mark:
        """Copy from the device, beside what it computes."""
        return _copy(self._down, copies, after)

    def follow(self, mark: Mark) -> None:
        """Let what is computed from now on wait for a copy."""
        _wait(torch.cuda.current_stream(self.device), mark)

    def computed(self) -> Mark:
        """Mark the end of what was launched so far."""
        return CudaMark(torch.cuda.current_stream(self.device))

    def close(self) -> None:
        """Let the host's memory be paged again, as the end of the process would."""
        if not self.said:
            torch.cuda.cudart().cudaHostUnregister(self._host.data_ptr())


def _copy(stream: torch.cuda.Stream, copies: Copies, after: Iterable[Mark]) -> Mark:
    for mark in after:
        _wait(stream, mark)
    with torch.no_grad(), torch.cuda.stream(stream):
        for target, source in copies:
            target.copy_(source, non_blocking=True)
    return CudaMark(stream)


def _wait(stream: torch.cuda.Stream, mark: Mark) -> None:
    if isinstance(mark, CudaMark):
        stream.wait_event(mark.event)
    else:
        mark.wait()


def _lock_pages(host: Tensor, device: torch.device) -> str:
    """Lock memory that another process may have made; return why it could not be, or nothing."""
    result = torch.cuda.cudart().cudaHostRegister(host.data_ptr(), host.nbytes, 0)
    if int(result) == _SUCCESS:
        return ""
    # The failed call is reported to whoever launches a kernel next: that had better be this one.
    with suppress(RuntimeError):
        torch.zeros(1, device=device)
    return f"memory of the host could not be page-locked (CUDA error {int(result)})"
