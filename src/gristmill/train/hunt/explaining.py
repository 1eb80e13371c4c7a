"""The plan of a hunt: what it will cost by forecast, and what each trial has cost so far."""

from __future__ import annotations

from gristmill.core.plan import Cost, Plan
from gristmill.train.hunt.ledger import Ledger, Trial
from gristmill.train.hunt.simulated import Simulated

_ENDED = ("stopped", "failed", "complete")


def plan_of(ledger: Ledger, what: str, rows: int, forecast: Simulated | None = None) -> Plan:
    """Return a plan with a node a trial: its state, why, and its actual rows and seconds.

    Args:
        ledger: of the hunt.
        what: the search, in words.
        rows: that a unit of budget (an epoch) trains on.
        forecast: what it costs from begin to end; see `forecast`.
    """
    left = sum(trial.state not in _ENDED for trial in ledger.trials)
    estimated = Cost()
    if forecast is not None:
        estimated = Cost(rows=rows * forecast.trained, seconds=forecast.makespan)
    actual = None
    if ledger.trained:
        seconds = sum(trial.seconds for trial in ledger.trials)
        actual = Cost(rows=rows * ledger.trained, seconds=seconds)
    said = f"{left} of {len(ledger.trials)} trials left"
    return Plan(
        what,
        action="run" if left else "done",
        why=f"{said}; {forecast}" if forecast else said,
        estimated=estimated,
        actual=actual,
        children=[_node(ledger, trial, rows) for trial in ledger.trials],
    )


def _node(ledger: Ledger, trial: Trial, rows: int) -> Plan:
    spent = Cost(rows=rows * trial.trained, seconds=trial.seconds)
    why = ledger.told(trial.number) if trial.state != "pending" else ""
    return Plan(
        f"trial {trial.number}",
        action="run" if trial.state == "pending" else trial.state,
        why=why,
        actual=spent if trial.trained else None,
    )
