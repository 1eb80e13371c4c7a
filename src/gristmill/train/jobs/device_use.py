"""How busy devices are, for a line of progress."""

from __future__ import annotations

from gristmill.train.jobs.training_run import TrainingRun


class DeviceUse:
    """The share of time that each device worked since the last look.

    Args:
        run: whose devices.
    """

    def __init__(self, run: TrainingRun) -> None:
        self._run = run
        self._names = [each.name for each in run.devices]
        self._busy, self._at = run.scheduler.timeline.busy, run.now()
        self._text = ""

    def text(self) -> str:
        """Return `cpu:0 97%, cpu:1 95%`; a new figure at most once a second."""
        now = self._run.now()
        if now - self._at >= 1.0:
            busy = self._run.scheduler.timeline.busy
            shares = [
                min(1.0, (after - before) / (now - self._at))
                for before, after in zip(self._busy, busy, strict=True)
            ]
            named = zip(self._names, shares, strict=True)
            self._text = ", ".join(f"{name} {share:.0%}" for name, share in named)
            self._busy, self._at = busy, now
        return self._text
