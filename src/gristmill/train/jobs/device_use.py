"""How busy devices are and with what, for a view of progress."""

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
        self._shares: list[str] = [""] * len(self._names)
        self._last: list[int | None] = [None] * len(self._names)

    def text(self) -> str:
        """Return `cpu:0 97%, cpu:1 95%`; nothing in the first second."""
        self._look()
        return ", ".join(
            f"{name} {share}"
            for name, share in zip(self._names, self._shares, strict=True)
            if share
        )

    def lines(self, what: str) -> list[str]:
        """Return a line a device: `cpu:0   97%  trial 3`.

        Args:
            what: the trials are called: `trial`, `model`.
        """
        self._look()
        wide = max(map(len, self._names))
        return [
            f"{name:{wide}}  {share:>4}  {self._work(device, what)}".rstrip()
            for device, (name, share) in enumerate(zip(self._names, self._shares, strict=True))
        ]

    def _work(self, device: int, what: str) -> str:
        trial = self._run.working_on(device)
        if trial is None:  # between two tasks: then the last one says more
            trial = self._last[device]
        self._last[device] = trial
        return "" if trial is None else f"{what} {trial}"

    def _look(self) -> None:
        """Take new figures, at most once a second."""
        now = self._run.now()
        if now - self._at < 1.0:
            return
        busy = self._run.scheduler.timeline.busy
        self._shares = [
            f"{min(1.0, (after - before) / (now - self._at)):.0%}"
            for before, after in zip(self._busy, busy, strict=True)
        ]
        self._busy, self._at = busy, now
