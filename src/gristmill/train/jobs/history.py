"""What a trial has shown so far, on disk, in step with its commits."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path

import msgspec
import numpy as np

from gristmill.core.errors import TrainError
from gristmill.train.jobs.order import Figures
from gristmill.train.records.journal import Journal


class _Figure(msgspec.Struct, frozen=True, array_like=True):
    """An array of float64: its shape and its bytes, so that NaN is kept, too."""

    shape: tuple[int, ...]
    data: bytes


class _Line(msgspec.Struct, frozen=True):
    """What was new at a commit.

    Attributes:
        first: step of the first of the losses.
        losses: float64 as bytes, a step each.
        figures: sums over rows held out, by the step that they were taken after.
    """

    first: int
    losses: bytes
    figures: dict[int, dict[str, _Figure]] = {}


_decoder = msgspec.json.Decoder(_Line)


class History:
    """Losses and held-out figures of a trial, from its first step on.

    Lines are added before the commit that they belong to. What is found beyond the commit that a
    trial goes on from is dropped: it will come again.

    Args:
        path: of the journal; its folder is made.
        step: that the trial goes on from.

    Attributes:
        losses: of the steps before, by number.
        figures: up to that step, by the step that they were taken after.

    Raises:
        TrainError: the disk is full or failed.
    """

    def __init__(self, path: Path, step: int) -> None:
        _make_folder(path.parent)
        self.losses: dict[int, float] = {}
        self.figures: dict[int, Figures] = {}
        self._journal = Journal(path)
        found = [_decoder.decode(line) for line in self._journal.lines]
        self._journal.lines.clear()
        for line in found:
            self._take_in(line, step)
        self._saved = step
        if any(_end(line) > step for line in found):
            self._journal.rewrite([_line(0, step, self.losses, self.figures)])

    def save(self, step: int, losses: Mapping[int, float], figures: Mapping[int, Figures]) -> None:
        """Write what is new up to a step; it is on disk on return.

        Raises:
            TrainError: the disk is full or failed.
        """
        new = {at: figures[at] for at in figures.keys() - self.figures.keys() if at <= step}
        if step > self._saved or new:
            self._journal.append(_line(self._saved, step, losses, new))
            self._saved = max(step, self._saved)
            self.figures |= new

    def close(self) -> None:
        """Close the journal."""
        self._journal.close()

    def _take_in(self, line: _Line, step: int) -> None:
        for at, loss in enumerate(np.frombuffer(line.losses, np.float64).tolist(), line.first):
            if at < step and not math.isnan(loss):
                self.losses[at] = loss
        for at, figures in line.figures.items():
            if at <= step:
                self.figures[at] = {
                    name: np.frombuffer(each.data, np.float64).reshape(each.shape)
                    for name, each in figures.items()
                }


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise TrainError(f"cannot be made: {error.strerror}", where=str(folder)) from error


def _line(
    first: int, step: int, losses: Mapping[int, float], figures: Mapping[int, Figures]
) -> bytes:
    line = _Line(
        first,
        np.asarray([losses.get(at, math.nan) for at in range(first, step)]).tobytes(),
        {
            at: {name: _kept(each) for name, each in found.items()}
            for at, found in sorted(figures.items())
        },
    )
    return msgspec.json.encode(line)


def _end(line: _Line) -> int:
    """Return the last step that a line tells of."""
    return max(line.first + len(line.losses) // 8, *line.figures, 0)


def _kept(value: object) -> _Figure:
    array = np.asarray(value, np.float64)
    return _Figure(array.shape, array.tobytes())
