"""A hunt for the best model: a controller, a sampler, a ledger and a record of all that happened.

    executor --> Hunt.next/report/failed --> Controller     which trial, how far
                       |                 --> Sampler        with which settings
                       |--> Record  (a line on disk before anybody hears of it)
                       |--> Ledger  (what is known of each trial) --> watchers: progress, store

A hunt has no clock, no processes and no models; `run_trials`, the training driver and the simulator
conduct it by the same three calls.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

from msgspec.structs import replace

from gristmill.core.closing import Closing
from gristmill.core.errors import TrainError, UsageError
from gristmill.core.fingerprint import fingerprint
from gristmill.train.hunt.controller import Controller, Decision, Instruction, Resume, Start
from gristmill.train.hunt.ledger import Judged, Ledger, Trial
from gristmill.train.hunt.perturbation import perturbed
from gristmill.train.hunt.record import Event, Failed, Issued, Record, Reported, Wanted
from gristmill.train.hunt.samplers import Sampler, SamplerFactory
from gristmill.train.space import Space

JOURNAL = "hunt.jsonl"
Watcher: TypeAlias = Callable[[Event, Ledger], None]
"""Is called after each event, when the ledger has it; not for those read from a journal."""


class Hunt(Closing):
    """Conducts the trials of one search. Close it, or use it in a `with` block.

    A hunt that finds its own journal in `folder` replays it: the controller is asked again all that
    it was asked, and has to answer as it did. Trials that ran when the process died come first out
    of `next`, from their last report on; an executor that has kept a later state goes on from that.
    A search of fewer trials is extended.

    Args:
        rules: makes the controller for a number of trials: `partial(halving, most=16)`.
        trials: how many.
        space: what may vary from trial to trial.
        sampler: `tpe`, `random`, `grid` or a function of a seed; see `Sampler`.
        seed: of what is drawn.
        maximise: whether a larger value is better.
        folder: where the journal lies; None: in memory only.
        vary: names that a trial perturbs when it takes another's state; others are copied with it.
        judged: how trials are ranked; see `Ledger`.
        of: whatever else tells this search from another, for its fingerprint: data, model.
        watch: is called after each event.

    Raises:
        UsageError: an unknown sampler, or one that has fewer settings than there are trials.
        TrainError: the folder holds another search, one that is being conducted, or a damaged one.
    """

    def __init__(
        self,
        rules: Callable[[int], Controller],
        trials: int,
        space: Space,
        *,
        sampler: str | SamplerFactory = "tpe",
        seed: int = 0,
        maximise: bool = True,
        folder: Path | None = None,
        vary: Collection[str] = (),
        judged: Judged = "peak",
        of: object = None,
        watch: Watcher | None = None,
    ) -> None:
        self.space, self.seed, self.maximise = space, seed, maximise
        self.vary = _checked(vary, space)
        self.sampler = Sampler(space, sampler, seed, maximise=maximise)
        self.sampler.check(trials)
        self.controller = rules(trials)
        self.ledger = Ledger(
            self.controller.most, maximise=maximise, values=space.values, judged=judged
        )
        self.watch: Watcher | None = None
        self._interrupted: list[Trial] = []
        self.record = Record(folder / JOURNAL if folder else None, self.search_fingerprint(of))
        try:
            self._begin(rules, trials)
        except BaseException:
            self.close()
            raise
        self.watch = watch

    def search_fingerprint(self, of: object) -> str:
        """Return the name of all that decisions depend on, but for the number of trials."""
        return fingerprint(
            {
                "rules": self.controller.rules,
                "space": self.space,
                "sampler": self.sampler.name,
                "seed": self.seed,
                "maximise": self.maximise,
                "vary": sorted(self.vary),
                "of": of,
            }
        )

    # The three calls of an executor -----------------------------------------------------------

    def next(self, free: int) -> list[Instruction]:
        """Return what to do now; see `Controller.next`. After a crash, first what it interrupted.

        Trials that share a result's moment are to be reported before this is asked.
        """
        again, self._interrupted = self._interrupted[:free], self._interrupted[free:]
        told = self.controller.next(free - len(again))
        if told:
            self._enter(Issued(free - len(again), told, self._drawn(told)))
        return [*map(_go_on, again), *told]

    def report(
        self,
        trial: int,
        budget: int,
        value: float,
        *,
        seconds: float = 0.0,
        metrics: Mapping[str, float] | None = None,
    ) -> Decision:
        """Take the value that a running trial has at `budget`, and say how it goes on.

        A value that is not finite is a failure: the answer is `stop`. A report at a budget that the
        trial is past (it was put back to an older state) changes nothing.

        Args:
            trial: its number.
            budget: what it is trained for now.
            value: of the metric that is compared.
            seconds: device seconds since its last report.
            metrics: other figures to keep; those that are not finite are left out.

        Raises:
            TrainError: the trial does not run, or was to report earlier.
        """
        known = self._known(trial)
        if known.state == "running" and budget <= known.budget:
            return "continue"
        if not math.isfinite(value):
            self.failed(trial, f"the compared value is {value} at budget {budget}", seconds=seconds)
            return "stop"
        decision = self.controller.report(trial, budget, self._score(value))
        finite = {name: each for name, each in (metrics or {}).items() if math.isfinite(each)}
        why = self.controller.why(trial) if decision == "stop" else ""
        self._enter(Reported(trial, budget, float(value), decision, seconds, finite, why))
        return decision

    def failed(self, trial: int, reason: str, *, seconds: float = 0.0) -> None:
        """Take note that a running trial is lost; the others go on.

        Raises:
            TrainError: the trial does not run.
        """
        self._known(trial)
        self.controller.failed(trial, reason)
        self._enter(Failed(trial, reason, seconds))

    # What an executor may ask -----------------------------------------------------------------

    def settings(self, trial: int) -> dict[str, Any]:
        """Return the settings of a trial, by name, as they are now."""
        self._known(trial)
        return self.ledger.settings(trial)

    @property
    def finished(self) -> bool:
        """Whether no trial runs and none will."""
        return self.controller.finished

    @property
    def best(self) -> Trial:
        """The best complete trial; see `Ledger.best`."""
        return self.ledger.best

    def close(self) -> None:
        """Let go of the journal; may be called again."""
        self.record.close()

    # Within ------------------------------------------------------------------------------------

    def _begin(self, rules: Callable[[int], Controller], trials: int) -> None:
        """Replay what the journal holds, and add trials if there are to be more now."""
        events = self.record.events
        if not events:
            self._enter(Wanted(trials))
            return
        if not isinstance(events[0], Wanted):
            raise TrainError(
                "the journal does not say how many trials there are", where=self._line(2)
            )
        self.controller = rules(events[0].trials)
        for line, event in enumerate(events, start=2):
            self._replay(event, line)
        if trials != self.controller.trials:
            self.controller.extend(trials)
            self._enter(Wanted(trials))
        running = (each for each in self.ledger.trials if each.state == "running")
        # Copies come first, as they did: after them a source may go on and change.
        self._interrupted = sorted(running, key=lambda each: not _is_copying(each))

    def _replay(self, event: Event, line: int) -> None:
        try:
            answer, expected = self._asked_again(event)
        except TrainError as error:
            raise TrainError(error.message, where=self._line(line)) from error
        if answer != expected:
            raise TrainError(
                f"the search has other rules now: it answers {answer}, but answered {expected}",
                where=self._line(line),
                fix="go on with the version of Gristmill that began it, or begin another search",
            )
        self.ledger.apply(event)

    def _asked_again(self, event: Event) -> tuple[object, object]:
        """Ask the controller what it was asked; return its answer, and the one that is recorded."""
        match event:
            case Wanted(trials):
                self.controller.extend(trials)
            case Issued(free, instructions):
                return self.controller.next(free), instructions
            case Reported(trial, budget, value, decision):
                return self.controller.report(trial, budget, self._score(value)), decision
            case Failed(trial, reason):
                self.controller.failed(trial, reason)
        return None, None

    def _line(self, number: int) -> str:
        return f"{self.record.path}, line {number}"

    def _drawn(self, told: Sequence[Instruction]) -> dict[int, dict[str, Any]]:
        """Return the settings of trials that start, and of those that take another's state."""
        drawn: dict[int, dict[str, Any]] = {}
        for each in told:
            match each:
                case Start(trial):
                    before = self.ledger.trials[:trial]
                    known = [replace(one, drawn=drawn.get(one.number, one.drawn)) for one in before]
                    drawn[trial] = self.sampler.draw(trial, known)
                case Resume(trial, source=int(source)):
                    copied, keys = self.ledger.trials[source].drawn, (trial, each.copies)
                    drawn[trial] = perturbed(copied, self.space, self.vary, self.seed, *keys)
        return drawn

    def _score(self, value: float) -> float:
        return value if self.maximise else -value

    def _enter(self, event: Event) -> None:
        self.record.add(event)
        self.ledger.apply(event)
        if self.watch:
            self.watch(event, self.ledger)

    def _known(self, trial: int) -> Trial:
        if not 0 <= trial < len(self.ledger.trials):
            raise TrainError(f"there is no trial {trial}, only {len(self.ledger.trials)}")
        return self.ledger.trials[trial]


def _is_copying(trial: Trial) -> bool:
    """Say whether a trial has not reported since it took another's state."""
    return trial.copies > 0 and trial.budget == trial.copied_at


def _go_on(trial: Trial) -> Instruction:
    """Return the instruction for a trial that was interrupted."""
    if not trial.budget:
        return Start(trial.number, trial.until)
    source = trial.source if _is_copying(trial) else None
    return Resume(trial.number, trial.until, trial.budget, source, trial.copies)


def _checked(vary: Collection[str], space: Space) -> frozenset[str]:
    unknown = sorted(set(vary) - set(space.dimensions))
    if unknown:
        raise UsageError(f"{unknown[0]!r} cannot vary: the space has {sorted(space.dimensions)}")
    return frozenset(vary)
