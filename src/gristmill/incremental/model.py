"""A network that recomputes only what a change of its input can reach."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Self

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from gristmill.incremental.bounded.steering import AUDIT, Steering
from gristmill.incremental.changes.detector import TILE
from gristmill.incremental.changes.noise import DECODED, Noise
from gristmill.incremental.execution.whole import Whole
from gristmill.incremental.graph.capture import capture
from gristmill.incremental.graph.node import Graph
from gristmill.incremental.graph.operator import Shape
from gristmill.incremental.occlusion.covers import Fill
from gristmill.incremental.occlusion.explaining import Explainer
from gristmill.incremental.occlusion.heat_map import HeatMap
from gristmill.incremental.occlusion.target import Scorer
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
        self._wholes: dict[Shape, Whole] = {}
        self._explainer: Explainer | None = None
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
        frame = self.graph.checked(frame)
        shape = tuple(frame.shape[1:])
        with self._lock:
            whole = self._wholes.get(shape)
            if whole is None:
                whole = self._wholes[shape] = Whole(self.graph, shape)
        return whole(frame)

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
        self,
        *,
        noise: Noise = DECODED,
        tile: int = TILE,
        pixels: Pixels | None = None,
        error: float | None = None,
        audit: int = AUDIT,
    ) -> Stream:
        """Return a new stream of pictures.

        Args:
            noise: what isn't a change; by default that of decoded video. `noise.NONE`: any bit is.
            tile: side of the squares, in pixels, by which changes are found.
            pixels: how grey levels become numbers; by default numbers of 0 to 1.
            error: None for exact answers. Else the relative L2 error that answers may have,
                ||answer - full|| / ||full|| of each output, against the network in full on the same
                `Stream.reference`: 0.01 is one per cent. It is held by measuring, see `Stream`;
                what noise makes of the input comes besides (`Stream.input_error`).
            audit: the most pictures with a change from one audit to the next; each takes as long as
                a whole frame.

        Raises:
            UsageError: the error is not above 0 and at most 1, or `audit` below 1.
        """
        steering = None if error is None else Steering(error, audit)
        return Stream(
            self.sized, noise=noise, tile=tile, pixels=pixels or Pixels(), steering=steering
        )

    def occlusion(
        self,
        image: NDArray[np.uint8] | Tensor,
        *,
        target: int | Scorer | None = None,
        patch: int = 16,
        stride: int = 8,
        fill: Fill = "mean",
        coarse_to_fine: bool = False,
        error: float | None = None,
        pixels: Pixels | None = None,
        progress: Callable[[int, int], None] | None = None,
    ) -> HeatMap:
        """Explain an answer: cover one place of a picture after another, and see what it costs.

        All values are computed once for the picture as it is; for each covered place only what it
        can reach is recomputed. Maps have the bits of a whole run on the covered picture, but for
        operators that differ by rounding in a part of a map, and for 3x3 convolutions of hundreds
        of channels: tiles of many places are computed together, in a quarter of the products.
        Vectors differ by rounding, too. Results are within 1e-5 of the whole run's, relative to the
        largest.

        Args:
            image: a picture, uint8[height, width, 3]; or what the network is given, float32
                [1, channels, height, width].
            target: number of the explained element of what the network returns first (a class, for
                a classifier). By default the largest. Or a function of all that the network
                returns, [frames, ...] each, to one score for each frame, [frames].
            patch: side of the covered squares, in pixels.
            stride: from one square to the next. Squares on a grid of the network's own strides
                (16, say) reach the fewest pixels.
            fill: what covers them: the picture's "mean", the picture in a "blur", or a number.
            coarse_to_fine: whether to cover every other row and column first, and what lies between
                only where values are high.
            error: None for all that a place can reach. Else the error that results may have, as a
                share (L2) of what covering changes in them: 0.05 leaves a heat map much as it is.
                It is held by measuring some positions: the outer parts of fields are then left
                out. `HeatMap.error` says what was measured.
            pixels: how grey levels become numbers; by default numbers of 0 to 1.
            progress: told how many positions are done, and how many there are.

        Raises:
            UsageError: the picture, the target, a size, the fill or the error is none of these, or
                the network can't take pictures of that size.
        """
        with self._lock:
            if self._explainer is None:
                self._explainer = Explainer(self.graph)
        return self._explainer.explain(
            image,
            pixels=pixels or Pixels(),
            target=target,
            patch=patch,
            stride=stride,
            fill=fill,
            coarse_to_fine=coarse_to_fine,
            error=error,
            progress=progress,
        )
