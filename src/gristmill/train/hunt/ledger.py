"""What is known of every trial: a fold over the events of a hunt, and its views."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import msgspec

from gristmill.core.errors import TrainError
from gristmill.core.quantities import format_seconds
from gristmill.train.hunt.controller import Instruction, Resume, Start, Stop
from gristmill.train.hunt.record import Event, Failed, Issued, Reported, Wanted

if TYPE_CHECKING:
    import polars as pl

State: TypeAlias = Literal["pending", "running", "paused", "stopped", "failed", "complete"]
Judged: TypeAlias = Literal["peak", "last"]
STATES: tuple[State, ...] = ("pending", "running", "paused", "stopped", "failed", "complete")


class Trial(msgspec.Struct):
    """One trial as it stands.

    Attributes:
        number: 0 for the first.
        state: `pending` (not begun), `running`, `paused`, `stopped` (given up), `failed`,
            `complete` (trained in full).
        drawn: its settings, as `Space.values` takes them; those of now, where they change.
        curve: the compared figure by budget. A trial that has taken another's state goes on from
            that one's curve.
        metrics: other figures, by budget.
        until: budget it runs to, or would have.
        trained: units of budget that were spent on it.
        seconds: device seconds.
        why: it stopped or failed.
        source: the trial whose state it took last.
        copies: how often it did.
        copied_at: budget at which it did so last.
    """

    number: int
    state: State = "pending"
    drawn: dict[str, Any] = {}
    curve: dict[int, float] = {}
    metrics: dict[int, dict[str, float]] = {}
    until: int = 0
    trained: int = 0
    seconds: float = 0.0
    why: str = ""
    source: int | None = None
    copies: int = 0
    copied_at: int = 0

    @property
    def budget(self) -> int:
        """What it is trained for, by its last report."""
        return max(self.curve, default=0)


class Ledger:
    """All trials of a hunt.

    Args:
        most: the budget of full training.
        maximise: whether a larger value is better.
        values: turns what was drawn into settings.
        judged: trials are ranked by their `peak`, where its state is kept, or by their `last`
            value, where only the last state is.

    Attributes:
        trials: by number.
    """

    def __init__(
        self,
        most: int,
        *,
        maximise: bool,
        values: Callable[[dict[str, Any]], dict[str, Any]] = dict,
        judged: Judged = "peak",
    ) -> None:
        self.judged = judged
        self.most, self.maximise, self._values = most, maximise, values
        self.trials: list[Trial] = []

    # What happens ---------------------------------------------------------------------------

    def apply(self, event: Event) -> None:
        """Enter an event."""
        match event:
            case Wanted(trials):
                self.trials += [Trial(number) for number in range(len(self.trials), trials)]
            case Issued():
                for trial, drawn in event.drawn.items():
                    self.trials[trial].drawn = dict(drawn)
                for each in event.instructions:
                    self._instructed(self.trials[each.trial], each)
            case Reported():
                self._reported(self.trials[event.trial], event)
            case Failed():
                self._failed(self.trials[event.trial], event)

    def _instructed(self, trial: Trial, what: Instruction) -> None:
        match what:
            case Start():
                trial.state, trial.until = "running", what.until
            case Resume():
                trial.state, trial.until = "running", what.until
                if what.source is not None:
                    source = self.trials[what.source]
                    trial.source, trial.copies, trial.copied_at = (
                        source.number,
                        what.copies,
                        what.at,
                    )
                    trial.curve, trial.metrics = dict(source.curve), dict(source.metrics)
            case Stop():
                trial.state, trial.why = "stopped", what.why

    def _reported(self, trial: Trial, event: Reported) -> None:
        trial.trained += event.budget - trial.budget
        trial.curve[event.budget] = event.value
        trial.seconds += event.seconds
        if event.metrics:
            trial.metrics[event.budget] = event.metrics
        if event.decision == "pause":
            trial.state = "paused"
        elif event.decision == "stop":
            trial.state = "complete" if event.budget == self.most else "stopped"
            trial.why = event.why

    def _failed(self, trial: Trial, event: Failed) -> None:
        trial.state, trial.why = "failed", event.reason
        trial.seconds += event.seconds

    # What there is to see -------------------------------------------------------------------

    def settings(self, trial: int) -> dict[str, Any]:
        """Return the settings of a trial, by name; {} for one that has not begun."""
        drawn = self.trials[trial].drawn
        return self._values(drawn) if drawn else {}

    def peak(self, trial: int) -> tuple[int, float] | None:
        """Return the budget that a trial is ranked by and its value there: where it was best (of
        equals the first), or the last one.
        """
        curve = self.trials[trial].curve
        if not curve:
            return None
        return max(curve.items()) if self.judged == "last" else self._highest(curve)

    def _highest(self, curve: Mapping[int, float]) -> tuple[int, float] | None:
        """Return the budget and value of the best report; of equals the first."""
        return min(curve.items(), key=lambda each: (-self._score(each[1]), each[0]), default=None)

    @property
    def best(self) -> Trial:
        """The complete trial with the best value that it is ranked by; of equals the first.

        Raises:
            TrainError: no trial is complete.
        """
        complete = [trial for trial in self.ranking() if trial.state == "complete"]
        if not complete:
            failed = [trial for trial in self.trials if trial.state == "failed"]
            raise TrainError(
                f"none of {len(self.trials)} trials is complete"
                + (f"; the first that failed: {failed[0].why}" if failed else "")
            )
        return complete[0]

    def ranking(self) -> list[Trial]:
        """Return all trials: complete ones first, then by what they were trained for; each group
        by its best value, and those without any by number.
        """
        return sorted(self.trials, key=self._rank)

    def _rank(self, trial: Trial) -> tuple[bool, int, float, int]:
        peak = self.peak(trial.number)
        score = self._score(peak[1]) if peak else 0.0
        return trial.state != "complete", -trial.budget, -score, trial.number

    def _score(self, value: float) -> float:
        return value if self.maximise else -value

    def count(self, state: State) -> int:
        """Return how many trials are in a state."""
        return sum(trial.state == state for trial in self.trials)

    @property
    def trained(self) -> int:
        """Units of budget spent on all trials together."""
        return sum(trial.trained for trial in self.trials)

    def table(self) -> pl.DataFrame:
        """Return one row a trial: number, state, value (that it is ranked by) and best_budget, last
        (value), peak (the best value that it ever had) and peak_budget, budget, trained, seconds,
        why, source, and its settings by name.
        """
        import polars as pl

        return pl.DataFrame([self._row(trial) for trial in self.trials], infer_schema_length=None)

    def _row(self, trial: Trial) -> dict[str, Any]:
        at, value = self.peak(trial.number) or (None, None)
        highest = self._highest(trial.curve) or (None, None)
        return {
            "number": trial.number,
            "state": trial.state,
            "value": value,
            "best_budget": at,
            "last": trial.curve.get(trial.budget),
            "peak": highest[1],
            "peak_budget": highest[0],
            "budget": trial.budget,
            "trained": trial.trained,
            "seconds": trial.seconds,
            "why": trial.why,
            "source": trial.source,
            **{name: _cell(value) for name, value in self.settings(trial.number).items()},
        }

    def curves(self) -> pl.DataFrame:
        """Return one row a trial and budget: number, budget, value, and other metrics by name."""
        import polars as pl

        rows = [
            {"number": trial.number, "budget": budget, "value": value}
            | trial.metrics.get(budget, {})
            for trial in self.trials
            for budget, value in sorted(trial.curve.items())
        ]
        if not rows:
            return pl.DataFrame(
                schema={"number": pl.Int64, "budget": pl.Int64, "value": pl.Float64}
            )
        return pl.DataFrame(rows, infer_schema_length=None)

    # In words -------------------------------------------------------------------------------

    def told(self, number: int) -> str:
        """Say in a few words where a trial stands: `complete, 0.9312 at 12 of 16`."""
        trial, peak = self.trials[number], self.peak(number)
        parts: list[str] = [trial.state]
        if peak:
            parts.append(f"{peak[1]:.4g} at {peak[0]} of {trial.budget}")
            highest = self._highest(trial.curve)
            if highest and self._score(highest[1]) > self._score(peak[1]):
                parts.append(f"had {highest[1]:.4g} at {highest[0]}")
        if trial.why:
            parts.append(trial.why.splitlines()[0])
        return ", ".join(parts)

    def leaderboard(self, count: int = 10) -> str:
        """Return the best trials, a line each: rank, number, where it stands, settings."""
        lines = []
        for rank, trial in enumerate(self.ranking()[:count], start=1):
            settings = self.settings(trial.number).items()
            shown = ", ".join(f"{name}={_short(value)}" for name, value in settings)
            lines.append(f"{rank:3}. trial {trial.number}: {self.told(trial.number)}  {shown}")
        return "\n".join(line.rstrip() for line in lines)

    def summary(self) -> str:
        """Say what came of the hunt: trials by state, budget against full training, the best."""
        states = Counter(trial.state for trial in self.trials)
        counts = ", ".join(f"{states[state]} {state}" for state in STATES if states[state])
        full = self.most * len(self.trials)
        seconds = format_seconds(sum(trial.seconds for trial in self.trials))
        lines = [
            f"{len(self.trials)} trials: {counts or 'none'}",
            f"trained {self.trained} of {full} units of budget, {seconds} on devices",
        ]
        if states["complete"]:
            best = self.best.number
            lines.append(f"best: trial {best}, {self.told(best)}")
        return "\n".join(lines)


def _cell(value: object) -> object:
    return value if isinstance(value, int | float | str | bool | None) else str(value)


def _short(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
