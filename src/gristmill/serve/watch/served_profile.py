"""What was served, as statistics that add up, by hour and kept in a folder.

The statistics themselves are not known here: a `Statistician` is handed in, so that serving needs
nothing of validation (`gristmill.pipeline.served_statistics` is the one in use).

    folder/2026-11-21T20/INSTANCE/     the statistics of one hour (UTC), of one server process
"""

from __future__ import annotations

import re
import shutil
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path

from gristmill.core.errors import DataError, UsageError
from gristmill.serve.watch.instance import Instance
from gristmill.serve.watch.served_rows import Sampled
from gristmill.serve.watch.statistician import Statistician, Statistics

HOUR = "%Y-%m-%dT%H"
_HOUR_NAME = re.compile(r"\d{4}-\d{2}-\d{2}T\d{2}", re.ASCII)
_INSTANCE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}", re.ASCII)
_DRAFT = ".new"
_IN_MEMORY = 24

_Key = tuple[str, str]
"""Hour and instance."""


class ServedProfile:
    """The statistics of what one server process served, by hour.

    All methods may be called from any thread.

    Args:
        statistician: who knows statistics.
        folder: where they are kept; None keeps the last 24 hours in memory alone.
        instance: name of this process, so that several write beside each other: plain, or taken
            until `close`.
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
        instance: str | Instance = "server",
        keep_hours: int = 24 * 7,
        clock: Callable[[], float] = time.time,
    ) -> None:
        name = instance.name if isinstance(instance, Instance) else instance
        if not _INSTANCE.fullmatch(name):
            raise UsageError(f"expected a plain name of an instance, found {name!r}")
        if keep_hours < 1:
            raise UsageError(f"expected keep_hours of at least 1, found {keep_hours}")
        self.statistician, self.folder = statistician, folder
        self._instance, self._keep_hours, self._clock = name, keep_hours, clock
        self._taken = instance if isinstance(instance, Instance) else None
        self._lock = threading.Lock()
        self._hours: dict[str, Statistics] = {}
        self._changed: set[str] = set()
        self._read: dict[_Key, tuple[int, Statistics | None]] = {}
        self._past: tuple[list[Statistics], Statistics | None] = ([], None)
        self.served = self.profiled = self.damaged = 0

    def add(self, sampled: Sampled) -> None:
        """Add a sample to the statistics of the present hour."""
        self.served += sampled.served
        if not sampled.rows:
            return
        hour = self.hour()
        found = self.statistician.profile(sampled.columns)
        with self._lock:
            known = self._hours.get(hour)
            if known is None:
                known = self._kept((hour, self._instance))
            self._hours[hour] = found if known is None else self.statistician.add(known, found)
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
            oldest = self.hour(1 - self._keep_hours)
            # Older ones are in the folder, if there is one.
            recent = max(oldest, self.hour(1 - _IN_MEMORY))
            self._hours = {hour: s for hour, s in self._hours.items() if hour >= recent}
        if self.folder is None:
            return
        for hour, statistics in changed.items():
            self._write(self.folder / hour / self._instance, statistics)
        for place in self._places():
            if place.name < oldest:
                shutil.rmtree(place, ignore_errors=True)

    def close(self) -> None:
        """Let go of the instance's name."""
        if self._taken is not None:
            self._taken.release()

    def recent(self, hours: int) -> Statistics | None:
        """Return the statistics of the last hours, this one included, of all instances; or None."""
        now, oldest = self.hour(), self.hour(1 - hours)
        with self._lock:
            parts = self._parts(oldest)
            past = [part for (hour, _), part in sorted(parts.items()) if hour < now]
            present = [part for (hour, _), part in sorted(parts.items()) if hour >= now]
            # Hours that are over change no more: their sum is made once.
            if [*map(id, past)] != [*map(id, self._past[0])]:
                self._past = (past, self._sum(past))
            total = self._past[1]
        return self._sum([*([] if total is None else [total]), *present])

    def hours(self) -> list[str]:
        """Return the hours of which there are statistics, oldest first: `2026-11-21T20`, UTC."""
        with self._lock:
            return sorted({*self._hours, *(place.name for place in self._places())})

    def hour(self, later: int = 0) -> str:
        """Return the name of the present hour, or of one so many hours later."""
        return datetime.fromtimestamp(self._clock() + 3600 * later, UTC).strftime(HOUR)

    def _sum(self, parts: Iterable[Statistics]) -> Statistics | None:
        total: Statistics | None = None
        for part in parts:
            total = part if total is None else self.statistician.add(total, part)
        return total

    def _parts(self, oldest: str) -> dict[_Key, Statistics]:
        """Return what there is of the hours since `oldest`: of this process, else of the folder."""
        found = {(h, self._instance): each for h, each in self._hours.items() if h >= oldest}
        named = {key for key in self._keys() if key[0] >= oldest}
        self._read = {key: read for key, read in self._read.items() if key in named}
        for key in sorted(named - found.keys()):
            part = self._kept(key)
            if part is not None:
                found[key] = part
        return found

    def _places(self) -> list[Path]:
        if self.folder is None or not self.folder.is_dir():
            return []
        return sorted(p for p in self.folder.iterdir() if _HOUR_NAME.fullmatch(p.name))

    def _keys(self) -> Iterator[_Key]:
        for place in self._places():
            for folder in place.iterdir():
                if _INSTANCE.fullmatch(folder.name):
                    yield place.name, folder.name

    def _kept(self, key: _Key) -> Statistics | None:
        """Return what the folder has of an hour of an instance; read once, unless it changes."""
        place = None if self.folder is None else self.folder / key[0] / key[1]
        if place is None or not place.is_dir():
            return None
        changed = place.stat().st_mtime_ns
        if key not in self._read or self._read[key][0] != changed:
            self._read[key] = (changed, self._loaded(place))
        return self._read[key][1]

    def _loaded(self, place: Path) -> Statistics | None:
        try:
            return self.statistician.load(place)
        except DataError:
            self.damaged += 1
            return None

    def _write(self, place: Path, statistics: Statistics) -> None:
        # Not `atomic_folder`: statistics that a power cut takes are no loss worth a sync.
        draft = place.with_name(f".{place.name}{_DRAFT}")
        shutil.rmtree(draft, ignore_errors=True)
        draft.mkdir(parents=True)
        self.statistician.save(statistics, draft)
        shutil.rmtree(place, ignore_errors=True)
        draft.rename(place)
