"""A network that recomputes only what a change of its input can reach."""

from __future__ import annotations

import threading
from typing import Self

from torch import Tensor, nn

from gristmill.incremental.changes.noise import DECODED, Noise
from gristmill.incremental.graph.capture import capture
from gristmill.incremental.graph.node import Graph
from gristmill.incremental.pixels import Pixels
from gristmill.incremental.planning.calibration import SECONDS
from gristmill.incremental.sized_model import SizedModel
from gristmill.incremental.stream import Stream


class Model:
    """A captured network; gives streams, each of which keeps what its frames have in common.

    Args:
        graph: the network, as `capture` returns it.
        calibration: seconds of measuring, once for each size of frame.
    """

    def __init__(self, graph: Graph, *, calibration: float = SECONDS) -> None:
        self.graph = graph
        self._calibration = calibration
        self._sized: dict[tuple[int, int], SizedModel] = {}
        self._lock = threading.Lock()

    @classmethod
    def from_module(
        cls,
        module: nn.Module,
        example: Tensor,
        *,
        any_size: bool = True,
        calibration: float = SECONDS,
    ) -> Self:
        """Capture a module as it is: nothing has to be rewritten.

        Args:
            module: takes one tensor, a frame, and returns a tensor or several; its evaluation mode
                and its present weights count.
            example: a frame, float32 [1, channels, height, width].
            any_size: whether frames of other sizes may come; finding out takes some seconds.
            calibration: seconds of measuring, once for each size of frame.

        Raises:
            UsageError: the example is no such frame, or the module can't be captured.
        """
        return cls(capture(module, example, any_size=any_size), calibration=calibration)

    @property
    def notes(self) -> tuple[str, ...]:
        """What a user should know: operators that are unknown, and what that costs."""
        return self.graph.notes

    def __call__(self, frame: Tensor) -> tuple[Tensor, ...]:
        """Compute what the network returns for one frame, in full.

        Args:
            frame: float32 [1, channels, height, width].

        Raises:
            UsageError: the network can't take frames of that shape.
        """
        return self.graph.results(frame)

    def sized(self, height: int, width: int) -> SizedModel:
        """Return the network at work on frames of one size; the first time it is measured.

        Raises:
            UsageError: the network can't take frames of that size.
        """
        with self._lock:
            found = self._sized.get((height, width))
            if found is None:
                found = SizedModel(self.graph, height, width, self._calibration)
                self._sized[height, width] = found
            return found

    def stream(
        self, *, noise: Noise = DECODED, tile: int = 16, pixels: Pixels | None = None
    ) -> Stream:
        """Return a new stream of pictures.

        Args:
            noise: what isn't a change; by default that of decoded video. `noise.NONE`: any bit is.
            tile: side of the squares, in pixels, by which changes are found.
            pixels: how grey levels become numbers; by default numbers of 0 to 1.
        """
        return Stream(self.sized, noise=noise, tile=tile, pixels=pixels or Pixels())
