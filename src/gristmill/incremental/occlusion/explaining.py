"""Heat maps of one network, one picture at a time."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gristmill.core.errors import UsageError
from gristmill.incremental.graph.node import Graph
from gristmill.incremental.occlusion.base_values import BaseValues
from gristmill.incremental.occlusion.covering import Covering
from gristmill.incremental.occlusion.covers import Fill, cover
from gristmill.incremental.occlusion.field_limit import EXACT, SHARES, Limit, field_limit
from gristmill.incremental.occlusion.grid import Grid
from gristmill.incremental.occlusion.heat_map import HeatMap
from gristmill.incremental.occlusion.occluder import Occluder
from gristmill.incremental.occlusion.target import Scorer, Target
from gristmill.incremental.pixels import Pixels


class _Survey:
    """Values of the places of a grid, measured some after others.

    Args:
        occluder: computes the network's results.
        base: the picture's values.
        cover: what takes its place where it is covered, like the frame.
        target: what is explained.
        grid: the places.
        whole: the frame and its squares; their positions are put in.
        progress: told how many positions are done, and how many there are.
    """

    def __init__(
        self,
        occluder: Occluder,
        base: BaseValues,
        cover: Tensor,
        target: Target,
        grid: Grid,
        whole: Covering,
        progress: Callable[[int, int], None] | None,
    ) -> None:
        self._occluder, self._base, self._cover = occluder, base, cover
        self._target, self._grid, self._whole = target, grid, whole
        self._progress = progress
        self.values = np.zeros(grid.shape, np.float32)
        self.measured = np.zeros(grid.shape, bool)

    def measure(self, which: NDArray[np.bool_], expected: int) -> None:
        """Measure places, bool[rows, columns], of `expected` that are measured in the end."""
        positions = self._grid.positions(which)
        found = np.zeros(len(positions), np.float32)
        done = int(self.measured.sum())
        covering = self._whole._replace(positions=positions)
        for numbers, outputs in self._occluder.answers(self._base, self._cover, covering):
            found[numbers] = self._target.base - self._target.scores(outputs).numpy()
            done += len(numbers)
            if self._progress is not None:
                self._progress(done, expected)
        self.values[which] = found
        self.measured[which] = True

    def drill_down(self) -> None:
        """Measure coarse places, then what is near high ones; put numbers in between."""
        self.measure(self._grid.coarse(), self.values.size)
        rest = self._grid.near_high(self.values) & ~self.measured
        if rest.any():
            self.measure(rest, int(self.measured.sum() + rest.sum()))
        self.values = self._grid.filled(self.values, self.measured)


class Explainer:
    """Makes heat maps; keeps what they have in common from picture to picture.

    Args:
        graph: the network.
    """

    def __init__(self, graph: Graph) -> None:
        self._occluder = Occluder(graph)
        self._shares: dict[tuple[int, int, int, float], float] = {}

    def explain(
        self,
        image: NDArray[np.uint8] | Tensor,
        *,
        pixels: Pixels,
        target: int | Scorer | None = None,
        patch: int = 16,
        stride: int = 8,
        fill: Fill = "mean",
        coarse_to_fine: bool = False,
        error: float | None = None,
        progress: Callable[[int, int], None] | None = None,
    ) -> HeatMap:
        """Cover one place of a picture after another; see `Model.occlusion`."""
        frame = _frame(image, pixels)
        _, _, height, width = frame.shape
        grid = Grid.over(height, width, patch, stride)
        base = self._occluder.base(frame)
        chosen = Target(target, self._occluder.results(base))
        covered = cover(frame, fill, patch)
        began = time.perf_counter()
        everything = np.ones(grid.shape, bool)
        whole = Covering(height, width, patch, grid.positions(everything))
        limit = EXACT if error is None else self._limit(base, covered, whole, error)
        whole = whole._replace(keep=limit.keep, bits=limit.bits)
        survey = _Survey(self._occluder, base, covered, chosen, grid, whole, progress)
        if coarse_to_fine:
            survey.drill_down()
        else:
            survey.measure(everything, everything.size)
        return HeatMap(
            values=survey.values,
            tops=grid.tops,
            lefts=grid.lefts,
            patch=patch,
            measured=survey.measured,
            target=chosen.index,
            base=chosen.base,
            keep=limit.keep,
            bits=limit.bits,
            error=limit.error,
            audited=limit.audited,
            seconds=time.perf_counter() - began,
            _picture=lambda: _picture(image, frame),
        )

    def _limit(self, base: BaseValues, covered: Tensor, whole: Covering, error: float) -> Limit:
        """What may be left out; for a picture like the last one it is found at once."""
        key = (*whole[:3], error)
        first = self._shares.get(key, SHARES[0])
        found = field_limit(self._occluder, base, covered, whole, error, first)
        self._shares[key] = found.keep
        return found


def _frame(image: NDArray[np.uint8] | Tensor, pixels: Pixels) -> Tensor:
    """What the network is given: float32 [1, channels, height, width]."""
    if isinstance(image, np.ndarray):
        if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or not image.size:
            raise UsageError(
                f"expected a picture of uint8[height, width, 3], found {image.dtype}"
                f"{list(image.shape)}",
                fix="give red, green and blue of each pixel as grey levels of 0 to 255",
            )
        return pixels.frame(image)
    if image.dim() != 4 or image.shape[0] != 1 or image.dtype != torch.float32:
        raise UsageError(
            "expected a frame of float32 [1, channels, height, width], found "
            f"{image.dtype} {list(image.shape)}"
        )
    if not bool(torch.isfinite(image).all()):
        raise UsageError("expected a frame of numbers, found some that are not finite")
    return image.detach()


def _picture(image: NDArray[np.uint8] | Tensor, frame: Tensor) -> NDArray[np.uint8]:
    """What is drawn: the picture, or the frame's numbers as grey levels from least to largest."""
    if isinstance(image, np.ndarray):
        return image
    planes = frame[0] if frame.shape[1] == 3 else frame[0].mean(0).expand(3, -1, -1)
    least, most = float(planes.min()), float(planes.max())
    levels = (planes - least) * (255 / ((most - least) or 1.0))
    found: NDArray[np.uint8] = levels.to(torch.uint8).permute(1, 2, 0).contiguous().numpy()
    return found
