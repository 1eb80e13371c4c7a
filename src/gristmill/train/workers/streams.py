"""What moves bytes between the host's memory and a device's own while the device computes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Protocol, TypeAlias

import torch
from torch import Tensor

Copies: TypeAlias = Sequence[tuple[Tensor, Tensor]]
"""(target, source): one on the host, one on the device, of one shape and dtype."""


class Mark(Protocol):
    """A point in what was launched on a device."""

    def reached(self) -> bool:
        """Say whether the device is past it."""

    def wait(self) -> None:
        """Wait until the device is past it."""


class Streams(Protocol):
    """Three lanes of a device: it computes, and meanwhile bytes come up and go down.

    Whatever the calling thread lets torch do on `device` is computed in order, in a lane of its
    own. All methods return at once; what they start ends later.

    Attributes:
        device: what torch calls it.
        said: why copies are slower than they could be; empty where they are not.
    """

    device: torch.device
    said: str

    def room(self, nbytes: int) -> Tensor:
        """Return uint8[nbytes] of the device's memory, aligned to 512 bytes."""

    def up(self, copies: Copies, after: Iterable[Mark] = ()) -> Mark:
        """Copy from the host to the device, in the order of calls, not before marks are reached."""

    def down(self, copies: Copies, after: Iterable[Mark]) -> Mark:
        """Copy from the device to the host, in the order of calls."""

    def follow(self, mark: Mark) -> None:
        """Let what is computed from now on wait for a mark."""

    def computed(self) -> Mark:
        """Mark the end of all that was given to compute so far."""
