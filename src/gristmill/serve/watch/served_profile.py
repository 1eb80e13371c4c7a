"""What was served, as statistics that add up, by hour and kept with the project.

The statistics themselves are not known here: a `Statistician` is handed in, so that serving needs
nothing of validation (`gristmill.pipeline.served_statistics` is the one in use).

    folder/2026-11-21T20/INSTANCE/     the statistics of one hour (UTC), of one server process
"""

from __future__ import annotations

import re
import shutil
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol, TypeAlias

import msgspec

from gristmill.core.errors import DataError, UsageError
from gristmill.serve.watch.served_rows import Sampled

Statistics: TypeAlias = Any
"""A state of statistics: `a + b` is the state of both; what else it is the statistician knows."""

_HOUR = "%Y-%m-%dT%H"
_HOUR_NAME = re.compile(r"\d{4}-\d{2}-\d{2}T\d{2}", re.ASCII)
_INSTANCE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}", re.ASCII)
_DRAFT = ".new"


class Change(msgspec.Struct, frozen=True):
    """One way in which what is served differs from what the model was trained on.

    Attributes:
        code: the kind of change, as in findings: "drift", "presence_change", "unit_change" ...
        severity: "error", "warning" or "info".
        feature: the column.
        message: what has changed, in plain English, with the figures.
    """

    code: str
    severity: str
    feature: str
    message: str


class Distance(msgspec.Struct, frozen=True):
    """How far the distribution of a column lies from the one in training.

    Attributes:
        distance: in [0, 1].
        threshold: the least that matters.
        floor: what chance does not exceed.
        alarm: whether it matters and is no chance.
    """

    feature: str
    distance: float
    threshold: float
    floor: float
    alarm: bool


class Compared(msgspec.Struct, frozen=True):
    """What a comparison with the training data gave."""

    distances: list[Distance]
    changes: list[Change]


class Statistician(Protocol):
    """Makes, keeps and compares statistics."""

    def profile(self, columns: Mapping[str, Sequence[object]]) -> Statistics:
        """Return the statistics of rows, given by column; None is a missing value."""

    def save(self, statistics: Statistics, folder: Path) -> None:
        """Write statistics into an empty folder."""

    def load(self, folder: Path) -> Statistics:
        """Read what `save` wrote.

        Raises:
            DataError: it is damaged, or of another version.
        """

    def compare(self, statistics: Statistics) -> Compared:
        """Compare with the training data."""


class ServedProfile:
    """The statistics of what one server process served, by hour.

    All methods may be called from any thread.

    Args:
        statistician: who knows statistics.
        folder: where they are kept; None keeps the present hours in memory alone.
        instance: name of this process, so that several write beside each other.
        keep_hours: hours that are kept; older ones are removed.
        clock: seconds since 1970.

    Attributes:
        served: rows that were served since the start.
        profiled: how many of them are in the statistics.
        damaged: kept hours that could not be read.
    """

    def __init__(
        self,
        statistician: Statistician,
        folder: Path | None = None,
        *,
        instance: str = "server",
        keep_hours: int = 24 * 7,
        clock: Callable[[], float] = time.time,
    ) -> None:
        if not _INSTANCE.fullmatch(instance):
            raise UsageError(f"expected a plain name of an instance, found {instance!r}")
        if keep_hours < 1:
            raise UsageError(f"expected keep_hours of at least 1, found {keep_hours}")
        self.statistician, self.folder = statistician, folder
        self._instance, self._keep_hours, self._clock = instance, keep_hours, clock
        self._lock = threading.Lock()
        self._hours: dict[str, Statistics] = {}
        self._changed: set[str] = set()
        self.served = self.profiled = self.damaged = 0

    def add(self, sampled: Sampled) -> None:
        """Add a sample to the statistics of the present hour."""
        self.served += sampled.served
        if not sampled.rows:
            return
        hour = self._hour()
        found = self.statistician.profile(sampled.columns)
        with self._lock:
            if hour not in self._hours:
                self._hours |= self._read(hour)
            known = self._hours.get(hour)
            self._hours[hour] = found if known is None else known + found
            self._changed.add(hour)
        self.profiled += sampled.rows

    def save(self) -> None:
        """Write the hours that have changed, and let go of old ones.

        Raises:
            OSError: the folder cannot be written.
        """
        with self._lock:
            changed = {hour: self._hours[hour] for hour in self._changed if hour in self._hours}
            self._changed.clear()
            oldest = self._hour(-self._keep_hours + 1)
            self._hours = {hour: s for hour, s in self._hours.items() if hour >= oldest}
        if self.folder is None:
            return
        for hour, statistics in changed.items():
            self._write(self.folder / hour / self._instance, statistics)
        for place in self._places():
            if place.name < oldest:
                shutil.rmtree(place, ignore_errors=True)

    def recent(self, hours: int) -> Statistics | None:
        """Return the statistics of the last hours, this one included, of all instances; or None."""
        oldest = self._hour(-hours + 1)
        with self._lock:
            mine = {hour: each for hour, each in self._hours.items() if hour >= oldest}
        found = list(mine.values())
        for place in self._places():
            if place.name >= oldest:
                ours = self._instance if place.name in mine else None
                found += [each for _, each in self._loaded(place, leave_out=ours)]
        total: Statistics | None = None
        for each in found:
            total = each if total is None else total + each
        return total

    def hours(self) -> list[str]:
        """Return the hours of which there are statistics, oldest first: `2026-11-21T20`, UTC."""
        with self._lock:
            return sorted({*self._hours, *(place.name for place in self._places())})

    def _hour(self, later: int = 0) -> str:
        return datetime.fromtimestamp(self._clock() + 3600 * later, UTC).strftime(_HOUR)

    def _places(self) -> list[Path]:
        if self.folder is None or not self.folder.is_dir():
            return []
        return sorted(p for p in self.folder.iterdir() if _HOUR_NAME.fullmatch(p.name))

    def _read(self, hour: str) -> dict[str, Statistics]:
        """Return what an earlier process of this name kept of an hour."""
        if self.folder is None or not (self.folder / hour / self._instance).is_dir():
            return {}
        loaded = dict(self._loaded(self.folder / hour, leave_out=None))
        return {hour: loaded[self._instance]} if self._instance in loaded else {}

    def _loaded(self, place: Path, leave_out: str | None) -> Iterator[tuple[str, Statistics]]:
        for folder in sorted(place.iterdir()):
            if folder.name == leave_out or not _INSTANCE.fullmatch(folder.name):
                continue
            try:
                yield folder.name, self.statistician.load(folder)
            except DataError:
                self.damaged += 1

    def _write(self, place: Path, statistics: Statistics) -> None:
        # Not `atomic_folder`: statistics that a power cut takes are no loss worth a sync.
        draft = place.with_name(f".{place.name}{_DRAFT}")
        shutil.rmtree(draft, ignore_errors=True)
        draft.mkdir(parents=True)
        self.statistician.save(statistics, draft)
        shutil.rmtree(place, ignore_errors=True)
        draft.rename(place)
