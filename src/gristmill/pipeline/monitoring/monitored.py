"""What came of one look at a served model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from gristmill.core.errors import GateError, StepError

if TYPE_CHECKING:
    from gristmill.pipeline.monitoring.trigger import Action
    from gristmill.store.monitorings import Monitoring
    from gristmill.validate.checks.report import Report

_CODES = {"promoted": 0, "kept": GateError.exit_code, "failed": StepError.exit_code}


@dataclass(frozen=True)
class Monitored:
    """What came of one look at a served model.

    Attributes:
        model: its name.
        alias: the alias that was looked at.
        version: the version that it named.
        since: since when, in seconds since 1970.
        at: the time of the look.
        hours: how many hours were compared.
        predictions: how many predictions were kept of it.
        truths: of how many of them the truth is known.
        report: what was found.
        action: what is done about it.
        outcome: how the retraining ended that was begun; None where there was none, or where it
            was stopped.
    """

    model: str
    alias: str
    version: int
    since: float
    at: float
    hours: int
    predictions: int
    truths: int
    report: Report
    action: Action
    outcome: Monitoring | None = None

    @property
    def exit_code(self) -> int:
        """What a command should exit with.

        0 where no finding is an error or a new version answers, 3 where one is, 4 where the gate
        kept out what a retraining gave, 6 where the retraining failed.
        """
        if self.outcome is not None:
            return _CODES[self.outcome.action]
        return self.report.exit_code

    def describe(self) -> dict[str, object]:
        """Say it in plain JSON values, in a form that stays."""
        outcome = self.outcome
        return {
            "model": self.model,
            "alias": self.alias,
            "version": self.version,
            "since": self.since,
            "at": self.at,
            "hours": self.hours,
            "predictions": self.predictions,
            "truths": self.truths,
            "exit_code": self.exit_code,
            "action": self.action.kind,
            "reasons": list(self.action.reasons),
            "outcome": None
            if outcome is None
            else {
                "action": outcome.action,
                "version": outcome.version,
                "reasons": outcome.reasons,
                "run": outcome.run,
            },
            "report": self.report.describe(),
        }
