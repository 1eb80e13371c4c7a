"""What is served, compared with the training data: gauges for `/metrics`, JSON for `/v1/drift`."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator
from typing import TYPE_CHECKING

import msgspec

from gristmill.core.errors import GristmillError
from gristmill.serve.watch.metrics import Sample
from gristmill.serve.watch.served_profile import Change, Compared, Distance, ServedProfile
from gristmill.serve.watch.served_rows import ServedRows

if TYPE_CHECKING:
    from gristmill.serve.runners.rows import Rows

log = logging.getLogger("gristmill.serve")


class DriftReport(msgspec.Struct, frozen=True):
    """The body of an answer to `GET /v1/drift`.

    Attributes:
        model: what is served.
        hours: how many hours were compared, this one included.
        served: rows that this process has served.
        profiled: how many of them are in its statistics.
        alarms: how many columns lie further away than matters and chance explains.
        distances: of every column that training had, too; the furthest first.
        changes: what has changed, as sentences.
        kept: hours of which there are statistics.
    """

    model: str
    hours: int
    served: int
    profiled: int
    alarms: int
    distances: list[Distance]
    changes: list[Change]
    kept: list[str]


class DriftWatch:
    """Samples what is served, profiles it in the background, and compares it.

    Args:
        model: what is served, for metrics and reports.
        profile: where statistics are added up.
        rows: what samples requests.
        hours: how many hours are compared with the training data.
        every: seconds between two samples.
        save_every: how many samples are profiled between two saves.

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
        save_every: int = 6,
    ) -> None:
        self.model, self.profile, self.hours = model, profile, hours
        self.rows = rows or ServedRows()
        self._every, self._save_every = every, save_every
        self._rounds = 0
        self._task: asyncio.Task[None] | None = None
        self.compared: Compared | None = None
        self.failures = 0

    def observe(self, rows: Rows, answers: Rows) -> None:
        """Take note of one request; about a microsecond."""
        self.rows.observe(rows, answers)

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
        await self.round(save=True)

    async def round(self, *, save: bool | None = None) -> None:
        """Profile the newest sample, compare, and now and then save; never raises."""
        self._rounds += 1
        due = self._rounds % self._save_every == 0 if save is None else save
        try:
            sampled = self.rows.take()
            await asyncio.to_thread(self.profile.add, sampled)
            if sampled.rows:
                self.compared = await asyncio.to_thread(self._compare)
            if due:
                await asyncio.to_thread(self.profile.save)
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
        while True:
            await asyncio.sleep(self._every)
            await self.round()

    def _compare(self) -> Compared:
        recent = self.profile.recent(self.hours)
        if recent is None:
            return Compared([], [])
        return self.profile.statistician.compare(recent)
