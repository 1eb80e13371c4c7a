"""One stream of pictures through a network."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gristmill.core.errors import UsageError
from gristmill.incremental.changes.detector import ChangeDetector, InputError
from gristmill.incremental.changes.noise import Noise
from gristmill.incremental.execution.stream_state import StreamState
from gristmill.incremental.pixels import Pixels
from gristmill.incremental.planning.explanation import Explained
from gristmill.incremental.planning.plan import Plan
from gristmill.incremental.regions.region_set import RegionSet
from gristmill.incremental.sized_model import SizedModel

_MOST_RECTANGLES = 12


class Answer(NamedTuple):
    """What came of one picture.

    Attributes:
        outputs: what the network returns, float32; the caller's own.
        changed: places of the picture that changed; none of a still one.
        share: of the tiles that changed, of 1.
        whole: whether all was computed.
        seconds: that finding the changes and computing took.
    """

    outputs: tuple[Tensor, ...]
    changed: RegionSet
    share: float
    whole: bool
    seconds: float


class Stream:
    """Takes pictures one after the other; each is compared with what the network saw last.

    The answers are bit for bit those of the whole network on `reference`, the picture in which
    the tiles that changed are new and the others as the network saw them. A picture of another
    size begins anew. For one thread at a time.

    Args:
        sized: gives the network at work on frames of a height and a width.
        noise: what isn't a change.
        tile: side of a tile, in pixels.
        pixels: how grey levels become numbers.
    """

    def __init__(
        self, sized: Callable[[int, int], SizedModel], *, noise: Noise, tile: int, pixels: Pixels
    ) -> None:
        self._sized, self._noise, self._tile, self._pixels = sized, noise, tile, pixels
        self._under_way: _UnderWay | None = None

    def __call__(self, image: NDArray[np.uint8]) -> Answer:
        """Answer a picture, uint8[height, width, 3], red first.

        Raises:
            UsageError: it is no such picture, or the network can't take one of that size.
        """
        _check(image)
        height, width = image.shape[:2]
        if self._under_way is None or self._under_way.size != (height, width):
            detector = ChangeDetector(height, width, tile=self._tile, noise=self._noise)
            self._under_way = _UnderWay(self._sized(height, width), detector, self._pixels)
        return self._under_way.answer(image)

    @property
    def reference(self) -> NDArray[np.uint8] | None:
        """The picture that the answers belong to, uint8[height, width, 3]; None before any."""
        return None if self._under_way is None else self._under_way.detector.reference

    @property
    def bytes_(self) -> int:
        """Bytes that are kept for the stream."""
        return 0 if self._under_way is None else self._under_way.bytes_

    def input_error(self) -> InputError:
        """Return how far the reference is from the last picture: what ignoring noise makes.

        Raises:
            UsageError: there was no picture yet.
        """
        return self._begun().detector.error()

    def explain(self) -> list[Explained]:
        """Return what was done with each unit of the network for the last picture that changed.

        Raises:
            UsageError: there was no picture yet.
        """
        return self._begun().explain()

    def forget(self) -> None:
        """Drop what is kept; the next picture is computed in full."""
        self._under_way = None

    def _begun(self) -> _UnderWay:
        if self._under_way is None:
            raise UsageError(
                "expected a stream that has seen a picture, found a new one",
                fix="give it a picture first",
            )
        return self._under_way


class _UnderWay:
    """What is kept of a stream while its pictures have one size."""

    def __init__(self, model: SizedModel, detector: ChangeDetector, pixels: Pixels) -> None:
        self.detector = detector
        self.size = (detector.grid.height, detector.grid.width)
        self._model, self._pixels = model, pixels
        self._state: StreamState = model.state()
        self._frame = torch.empty((1, 3, *self.size), memory_format=torch.channels_last)
        self._plan: Plan | None = None
        self._complete = False

    @property
    def bytes_(self) -> int:
        frame = self._frame.numel() * self._frame.element_size()
        return self._state.bytes_ + self.detector.bytes + frame

    def answer(self, image: NDArray[np.uint8]) -> Answer:
        began = time.perf_counter()
        if not self._complete:  # the first one, or the one before was broken off
            self.detector.reset()
            self._state.forget()
        self._complete = False
        mask = self.detector.update(image)
        changed = RegionSet.from_mask(mask, self.detector.grid.tile, *self.size,
                                      most=_MOST_RECTANGLES)  # fmt: skip
        whole = False
        if changed:
            self._pixels.write(self.detector.reference, changed, self._frame)
            spent = time.perf_counter() - began
            self._plan = self._model.advance(self._state, self._frame, changed, spent)
            whole = self._plan.whole
        self._complete = True
        outputs = self._model.outputs(self._state)
        seconds = time.perf_counter() - began
        return Answer(outputs, changed, float(mask.mean()), whole, seconds)

    def explain(self) -> list[Explained]:
        if self._plan is None:
            return []
        return self._model.explained(self._plan)


def _check(image: object) -> None:
    if not isinstance(image, np.ndarray) or image.dtype != np.uint8:
        kind = getattr(image, "dtype", type(image).__name__)
        raise UsageError(f"expected a picture of uint8, found {kind}")
    if image.ndim != 3 or image.shape[2] != 3 or 0 in image.shape:
        raise UsageError(
            f"expected a picture [height, width, 3], red first, found {list(image.shape)}",
            fix="convert grey or transparent pictures to RGB",
        )
