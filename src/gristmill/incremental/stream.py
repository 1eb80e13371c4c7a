"""One stream of pictures through a network."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, partial

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gristmill.core.errors import UsageError
from gristmill.incremental.bounded.audit import Audit
from gristmill.incremental.bounded.audits import Audits
from gristmill.incremental.bounded.steering import Steering
from gristmill.incremental.changes.detector import ChangeDetector
from gristmill.incremental.changes.input_error import InputError
from gristmill.incremental.changes.noise import Noise
from gristmill.incremental.execution.stream_state import StreamState
from gristmill.incremental.pixels import Pixels
from gristmill.incremental.planning.allowance import Allowance
from gristmill.incremental.planning.explanation import Explained
from gristmill.incremental.planning.plan import Plan
from gristmill.incremental.regions.region_set import NOWHERE, RegionSet
from gristmill.incremental.sized_model import SizedModel

_MOST_RECTANGLES = 16


@dataclass(eq=False)
class Answer:
    """What came of one picture.

    Attributes:
        outputs: what the network returns, float32; the caller's own.
        share: of the tiles that changed, of 1; 0 of a still picture. Where looking for changes does
            not pay, not every picture is looked at: all of it then counts as changed.
        whole: whether all was computed.
        seconds: that finding the changes and computing took.
        find_changed: gives `changed`: tiles are joined to places when asked for.
        audited: in bounded mode, what an audit of this picture found. Its outputs are then those
            of the whole network, no longer the ones that were found to be off.
    """

    outputs: tuple[Tensor, ...]
    share: float
    whole: bool
    seconds: float
    find_changed: Callable[[], RegionSet]
    audited: Audit | None = None

    @cached_property
    def changed(self) -> RegionSet:
        """Places of the picture that changed; none of a still one."""
        return self.find_changed()


class Stream:
    """Takes pictures one after the other; each is compared with what the network saw last.

    The answers are bit for bit those of the whole network on `reference`, the picture in which
    the tiles that changed are new and the others as the network saw them. A picture of another
    size begins anew. For one thread at a time.

    In bounded mode they are those of the whole network up to an error, which audits measure: of
    each layer, changes below a threshold wait until they have added up to more than it. What is
    sure is that no number differs by more than its threshold from what its layer makes of the
    numbers before it. What that makes of the outputs is measured, not proven: audits compare them
    with the network in full on the same `reference`, and set the thresholds so that the error stays
    below the one wanted. It may be above it for a while when a scene changes, until the next audit.
    Where waiting takes longer than it saves, frames are exact after all, and need no audits; from
    time to time it is tried again.

    Args:
        sized: gives the network at work on frames of a height and a width.
        noise: what isn't a change.
        tile: side of a tile, in pixels.
        pixels: how grey levels become numbers.
        steering: of bounded mode; None for exact answers.
    """

    def __init__(
        self,
        sized: Callable[[int, int], SizedModel],
        *,
        noise: Noise,
        tile: int,
        pixels: Pixels,
        steering: Steering | None = None,
    ) -> None:
        self._sized, self._noise, self._tile, self._pixels = sized, noise, tile, pixels
        self._steering = steering
        self._pictures = 0
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
            self._under_way = _UnderWay(
                self._sized(height, width), detector, self._pixels, self._steering
            )
        picture, self._pictures = self._pictures, self._pictures + 1
        return self._under_way.answer(image, picture)

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

    @property
    def audits(self) -> Audits | None:
        """What the audits found, since the stream began; None where answers are exact."""
        return None if self._steering is None else self._steering.audits

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

    def __init__(
        self,
        model: SizedModel,
        detector: ChangeDetector,
        pixels: Pixels,
        steering: Steering | None,
    ) -> None:
        self._detector = detector
        self.size = (detector.grid.height, detector.grid.width)
        self._model, self._pixels, self._steering = model, pixels, steering
        self._bounded = None if steering is None else model.bounded(steering)
        self._state: StreamState = model.state()
        self._plan: Plan | None = None
        self._unseen = False  # whether nobody has looked for the changes that it is for
        self._everything = everything = RegionSet.whole(*self.size)
        self._everywhere = lambda: everything
        self._allowance = Allowance(model.whole_seconds)
        self._complete = False
        self._taken = True  # whether the detector's reference is that of the values

    @property
    def bytes_(self) -> int:
        return self._state.bytes_ + self._detector.bytes

    @property
    def detector(self) -> ChangeDetector:
        """Finds changes; its reference is the picture that the last answer belongs to."""
        reference = self._state.reference
        if not self._taken and reference is not None:
            self._take(self._pixels.image(reference))
        return self._detector

    def answer(self, image: NDArray[np.uint8], picture: int) -> Answer:
        began = time.perf_counter()
        anew = not self._complete  # the first one, or the one before was broken off
        looks = not anew and self._allowance.looks
        self._complete = False
        find_changed: Callable[[], RegionSet] = self._everywhere
        share, looked = 1.0, 0.0
        if looks:
            mask, looked = self._compared(image)
            if not self._detector.marked:
                self._allowance.still(looked)
                return self._answered(began, _nowhere)
            find_changed, share = partial(self._changed, mask), self._detector.marked / mask.size
        if anew:
            self._state.forget()
        self._taken, self._unseen = looks, not (looks or anew)
        if anew or not (looks or self._pixels.reversible):
            self._take(image)
        seen = self._detector.reference if self._taken else image
        self._plan = self._advanced(seen, find_changed, looked)
        audited = self._audited(picture, share)
        if not self._taken and self._allowance.looks:  # the next one is compared with this one
            self._take(image)
        return self._answered(began, find_changed, share, self._plan.whole, audited)

    def _answered(
        self,
        began: float,
        find_changed: Callable[[], RegionSet],
        share: float = 0.0,
        whole: bool = False,
        audited: Audit | None = None,
    ) -> Answer:
        self._complete = True
        outputs = self._model.outputs(self._state)
        seconds = time.perf_counter() - began
        return Answer(outputs, share, whole, seconds, find_changed, audited)

    def explain(self) -> list[Explained]:
        if self._plan is None:
            return []
        return self._model.explained(self._plan, unseen=self._unseen)

    def _take(self, image: NDArray[np.uint8]) -> None:
        self._detector.take(image)
        self._taken = True

    def _compared(self, image: NDArray[np.uint8]) -> tuple[NDArray[np.bool_], float]:
        """Return which tiles have changed, and how many seconds it took to find them."""
        clock = self._model.clock
        began = clock()
        mask = self.detector.update(image)
        looked = clock() - began
        self._allowance.looked(looked)
        return mask, looked

    def _changed(self, mask: NDArray[np.bool_]) -> RegionSet:
        """Join marked tiles to places of the picture."""
        tile = self._detector.grid.tile
        return RegionSet.from_mask(mask, tile, *self.size, most=_MOST_RECTANGLES)

    def _advanced(
        self, seen: NDArray[np.uint8], find_changed: Callable[[], RegionSet], looked: float
    ) -> Plan:
        """Bring the values up to date with the reference; return what was done.

        Args:
            seen: the reference, uint8[height, width, 3].
            find_changed: gives where it has changed.
            looked: seconds that finding that took.
        """
        clock = self._model.clock
        began = clock()
        frame, first = self._state.reference, not self._state.current
        plans = self._allowance.plans
        changed = find_changed() if plans else self._everything
        if frame is None:  # not kept a second time: what breaks off begins anew
            frame = torch.empty((1, 3, *self.size), memory_format=torch.channels_last)
        self._pixels.write(seen, changed, frame)
        if not plans:
            plan = self._model.whole(self._state, frame, self._bounded)
            self._allowance.passed(clock() - began)
            return plan
        spent = looked + clock() - began
        plan = self._model.advance(self._state, frame, changed, spent, self._bounded)
        if not first:
            self._allowance.planned(looked + clock() - began)
        return plan

    def _audited(self, picture: int, share: float) -> Audit | None:
        """Audit the picture that was just computed, of which a share changed, if it is time."""
        if self._bounded is None or self._steering is None:
            return None
        if self._bounded.exact:
            self._steering.renew()
            return None
        steering = self._steering
        decisive = partial(self._model.decisive_error, self._state)
        if not (steering.due(share) or steering.doubts(decisive)):
            return None
        clock = self._model.clock
        began = clock()
        self._plan, audit = self._model.audit(self._state, self._bounded, picture)
        self._allowance.audited(clock() - began)
        return audit


def _nowhere() -> RegionSet:
    return NOWHERE


def _check(image: object) -> None:
    if not isinstance(image, np.ndarray) or image.dtype != np.uint8:
        kind = getattr(image, "dtype", type(image).__name__)
        raise UsageError(f"expected a picture of uint8, found {kind}")
    if image.ndim != 3 or image.shape[2] != 3 or 0 in image.shape:
        raise UsageError(
            f"expected a picture [height, width, 3], red first, found {list(image.shape)}",
            fix="convert grey or transparent pictures to RGB",
        )
