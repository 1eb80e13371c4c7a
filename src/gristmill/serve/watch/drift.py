"""What is served, compared with the training data: gauges for `/metrics`, JSON for `/v1/drift`."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

import msgspec

from gristmill.core.errors import GristmillError
from gristmill.serve.watch.metrics import Sample
from gristmill.serve.watch.served_profile import ServedProfile
from gristmill.serve.watch.served_rows import ServedRows
from gristmill.serve.watch.statistician import Change, Compared, Distance

if TYPE_CHECKING:
    from gristmill.serve.runners.rows import Rows

log = logging.getLogger("gristmill.serve")

_NEWEST = 1.0


class DriftReport(msgspec.Struct, frozen=True):
    """What `GET /v1/drift` answers of one model.

    Attributes:
        model: what is served.
        hours: how many hours were compared, this one included.
        served: rows that this process has served.
        profiled: how many of them are in its statistics.
        compared: rows of these hours that were compared, of all processes and since before a
            restart; below 200 nothing is told.
        alarms: how many columns lie further away than matters and chance explains.
        distances: of every column that training had, too; the furthest first.
        changes: what has changed, as sentences.
        kept: hours of which there are statistics.
    """

    model: str
    hours: int
    served: int
    profiled: int
    compared: int
    alarms: int
    distances: list[Distance]
    changes: list[Change]
    kept: list[str]


class DriftWatch:
    """Samples what is served, profiles it in the background, and compares it.

    Args:
        model: what is served, for metrics, reports and warnings.
        profile: where statistics are added up.
        rows: what samples requests.
        hours: how many hours are compared with the training data.
        every: seconds between two samples.
        compare_every: how many samples are profiled between two comparisons, each then saved.

    Attributes:
        compared: the newest comparison; None before the first.
        failures: samples that could not be profiled, compared or saved.
    """

    def __init__(
        self,
        model: str,
        profile: ServedProfile,
        *,
        rows: ServedRows | None = None,
        hours: int = 24,
        every: float = 10.0,
        compare_every: int = 6,
    ) -> None:
        self.model, self.profile, self.hours = model, profile, hours
        self.rows = rows or ServedRows()
        self._every, self._compare_every = every, compare_every
        self._task: asyncio.Task[None] | None = None
        self._turn = asyncio.Lock()
        self._newest = 0.0
        self._warned: dict[str, str] = {}
        self.compared: Compared | None = None
        self.failures = 0

    def observe(self, rows: Rows, answers: Rows) -> None:
        """Take note of one request, in about a microsecond; never raises."""
        try:
            self.rows.observe(rows, answers)
        except Exception as error:
            self.failures += 1
            log.warning("drift of %s: %s", self.model, error, exc_info=True)

    def start(self) -> None:
        """Begin to profile, in the running event loop and a thread of its pool."""
        if self._task is None or self._task.done():
            self._task = asyncio.get_running_loop().create_task(self._watch())

    async def stop(self) -> None:
        """Profile what was served last, save, and profile no more."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        await self.round()
        self.profile.close()

    async def refresh(self) -> None:
        """Do a round now, so that a report is of this moment; none where one was a second ago."""
        if time.monotonic() - self._newest > _NEWEST:
            await self.round()

    async def round(self, *, compare: bool = True) -> None:
        """Profile the newest sample and, unless told not to, compare and save; never raises."""
        async with self._turn:
            try:
                await self._round(compare)
            except Exception as error:
                # Watching must not end because of what was watched, nor be the end of serving.
                self.failures += 1
                known = isinstance(error, GristmillError | OSError)
                log.warning("drift of %s: %s", self.model, error, exc_info=not known)

    def report(self) -> DriftReport:
        """Return what `/v1/drift` answers."""
        compared = self.compared or Compared([], [])
        return DriftReport(
            model=self.model,
            hours=self.hours,
            served=self.profile.served,
            profiled=self.profile.profiled,
            compared=compared.rows,
            alarms=sum(each.alarm for each in compared.distances),
            distances=sorted(compared.distances, key=lambda each: -each.distance),
            changes=compared.changes,
            kept=self.profile.hours(),
        )

    def samples(self) -> Iterator[Sample]:
        """Yield the gauges of the metrics page."""
        model = {"model": self.model}
        what = "Rows served, of which a sample is profiled."
        yield Sample("gristmill_served_rows_total", "counter", what, model, self.profile.served)
        what = "Rows in the profile of what was served."
        yield Sample("gristmill_profiled_rows_total", "counter", what, model, self.profile.profiled)
        what = "Samples that could not be profiled, compared or saved."
        yield Sample("gristmill_drift_failures_total", "counter", what, model, self.failures)
        if self.compared is None:
            return
        what = "Rows of the last hours that were compared with the training data."
        yield Sample("gristmill_drift_rows", "gauge", what, model, self.compared.rows)
        for each in self.compared.distances:
            labels = {**model, "feature": each.feature}
            what = "Distance of what is served from the training data, 0 to 1."
            yield Sample("gristmill_drift_distance", "gauge", what, labels, each.distance)
            what = "Whether the distance matters and chance does not explain it."
            yield Sample("gristmill_drift_alarm", "gauge", what, labels, float(each.alarm))
        what = "Changes of what is served against the training data."
        for severity in ("error", "warning", "info"):
            count = sum(each.severity == severity for each in self.compared.changes)
            labels = {**model, "severity": severity}
            yield Sample("gristmill_drift_changes", "gauge", what, labels, count)

    async def _watch(self) -> None:
        rounds = 0
        while True:
            await asyncio.sleep(self._every)
            rounds += 1
            await self.round(compare=rounds % self._compare_every == 0)

    async def _round(self, compare: bool) -> None:
        sampled = self.rows.take()
        if sampled.served:
            await asyncio.to_thread(self.profile.add, sampled)
        if not compare:
            return
        found = await asyncio.to_thread(self._compare)
        self._newest = time.monotonic()
        if found is not None:
            self.compared = found
            self._warn(found)
        await asyncio.to_thread(self.profile.save)

    def _compare(self) -> Compared | None:
        recent = self.profile.recent(self.hours)
        return None if recent is None else self.profile.statistician.compare(recent)

    def _warn(self, compared: Compared) -> None:
        """Tell of each feature that has changed, once an hour while it lasts."""
        hour = self.profile.hour()
        for feature, told in _news(compared).items():
            if self._warned.get(feature) != hour:
                self._warned[feature] = hour
                log.warning("drift of %s: %s: %s; see /v1/drift", self.model, feature, told)


def _news(compared: Compared) -> dict[str, str]:
    """Return what is worth a warning, by feature, each on one line."""
    found = {
        each.feature: f"{each.over or 'values'} lie {each.distance:.2f} from those of training"
        for each in compared.distances
        if each.alarm
    }
    changes = [each for each in compared.changes if each.severity != "info"]
    # The first of a feature says most.
    found |= {each.feature: each.message for each in reversed(changes)}
    return {feature: " ".join(told.split()) for feature, told in found.items()}
