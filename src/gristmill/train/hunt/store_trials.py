"""The trials of a hunt in a project's store, as executions with their curves."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from gristmill.core.fingerprint import fingerprint
from gristmill.store.runs import Execution
from gristmill.train.hunt.ledger import Ledger
from gristmill.train.hunt.record import Event, Issued, Reported

if TYPE_CHECKING:
    from gristmill.store.runs import RunLog

_ENDED = {"complete": "done", "stopped": "stopped", "failed": "failed"}


class StoreTrials:
    """A watcher of a hunt that writes down each trial when it ends.

    A trial is an execution of step `trial 3`: its settings are the parameters, its curves (budget,
    value, other metrics) the result, its state the status.

    Args:
        log: of the project.
        run: id that `RunLog.start` gave.
        pipeline: what the run is of.
    """

    def __init__(self, log: RunLog, run: str, pipeline: str = "search") -> None:
        self.log, self.run, self.pipeline = log, run, pipeline

    def __call__(self, event: Event, ledger: Ledger) -> None:
        """See `Watcher`."""
        if isinstance(event, Issued):
            for each in event.instructions:
                self._keep(each.trial, ledger)
        elif hasattr(event, "trial") and not _goes_on(event):
            self._keep(event.trial, ledger)

    def _keep(self, number: int, ledger: Ledger) -> None:
        trial = ledger.trials[number]
        if trial.state not in _ENDED:
            return
        curves = ledger.curves().filter(number=number)
        output = self.log.keep(curves).digest if len(curves) else None
        settings = {name: _plain(value) for name, value in ledger.settings(number).items()}
        self.log.record(
            Execution(
                id=0,
                run=self.run,
                step=f"trial {number}",
                key=fingerprint({"run": self.run, "trial": number}),
                status=_ENDED[trial.state],
                why=ledger.told(number),
                reach={"params": settings},
                started=time.time() - trial.seconds,
                seconds=trial.seconds,
                message=trial.why or None,
                output=output,
            ),
            self.pipeline,
        )


def _goes_on(event: Event) -> bool:
    return isinstance(event, Reported) and event.decision != "stop"


def _plain(value: object) -> object:
    return value if isinstance(value, int | float | str | bool | None) else str(value)
