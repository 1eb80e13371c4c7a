"""Population based training: the weak copy the strong, and vary their settings.

Jaderberg et al. 2017, "Population based training of neural networks", section 4.1.1: truncation
selection (a member in the bottom fifth takes the weights of one in the top fifth) and perturbation
(each setting times 0.8 or 1.2). Here a generation is synchronous: all members reach its end and
pause before any is compared, so that the outcome does not depend on the order in which results
arrive or on the number of devices; a population larger than the number of devices takes turns.
"""

from __future__ import annotations

from collections.abc import Mapping

from gristmill.core.errors import UsageError
from gristmill.core.seeds import derive_seed
from gristmill.train.hunt.controller import (
    Decision,
    Instruction,
    Resume,
    Start,
    check_growth,
    check_until,
)
from gristmill.train.hunt.rungs import ranked


class Population:
    """Population based training; who copies is also given new settings, see `perturbed`.

    A member that fails is gone; the others go on.

    Args:
        trials: members.
        most: budget of full training.
        every: budget of a generation.
        share: of the members, below one half, that is replaced after a generation.
        seed: of who is copied.

    Raises:
        UsageError: a number makes no sense.
    """

    def __init__(
        self, trials: int, most: int, *, every: int = 1, share: float = 0.2, seed: int = 0
    ) -> None:
        if not 1 <= every <= most:
            raise UsageError(f"expected 1 <= every <= most budget, found {every} and {most}")
        if not 0 < share < 0.5:
            raise UsageError(f"expected a share between 0 and 0.5, found {share:g}")
        check_growth(0, trials)
        self.trials, self.most, self.every = trials, most, every
        self.share, self.seed = share, seed
        self.rules: Mapping[str, object] = {
            "kind": "population",
            "most": most,
            "every": every,
            "share": share,
            "seed": seed,
        }
        self.members = list(range(trials))
        self._at, self._until = 0, every
        self._queue: list[Instruction] = [Start(trial, every) for trial in self.members]
        self._running: set[int] = set()
        self._scores: dict[int, float] = {}
        self._copies: dict[int, int] = {}

    def extend(self, trials: int) -> None:
        """See `Controller.extend`.

        Raises:
            UsageError: the number of members is another.
        """
        if trials != self.trials:
            raise UsageError(
                f"a population cannot change its size: expected {self.trials} trials, "
                f"found {trials}",
                fix="begin another search",
            )

    def next(self, free: int) -> list[Instruction]:
        """See `Controller.next`."""
        told, self._queue = self._queue[:free], self._queue[free:]
        self._running.update(each.trial for each in told)
        return told

    def report(self, trial: int, budget: int, score: float) -> Decision:
        """See `Controller.report`."""
        check_until(trial, budget, self._until if trial in self._running else None)
        if budget < self._until:
            return "continue"
        self._running.remove(trial)
        self._scores[trial] = score
        over = budget == self.most
        self._settle()
        return "stop" if over else "pause"

    def failed(self, trial: int, reason: str) -> None:
        """See `Controller.failed`."""
        check_until(trial, 0, self._until if trial in self._running else None)
        self._running.remove(trial)
        self.members.remove(trial)
        self._settle()

    def why(self, trial: int) -> str:
        """See `Controller.why`; here no trial is stopped early."""
        return ""

    @property
    def finished(self) -> bool:
        """See `Controller.finished`."""
        return not self._queue and not self._running

    def _settle(self) -> None:
        """If all members have got to the end of the generation, begin the next."""
        if self._running or self._queue or self._until == self.most:
            return
        self._at = self._until
        self._until = min(self._at + self.every, self.most)
        sources = self._sources()
        # Copies come first: after them a source may go on and change.
        order = sorted(self.members, key=lambda trial: (trial not in sources, trial))
        self._queue = [self._resumed(trial, sources.get(trial)) for trial in order]
        self._scores = {}

    def _sources(self) -> dict[int, int]:
        """Return who copies whom: a member of the bottom one of the top that is truly better."""
        order = ranked(self._scores)
        count = min(max(1, int(self.share * len(order))), len(order) // 2)
        chosen = {trial: order[self._draw(trial, count)] for trial in order[len(order) - count :]}
        return {
            trial: source
            for trial, source in chosen.items()
            if self._scores[source] > self._scores[trial]
        }

    def _draw(self, trial: int, count: int) -> int:
        return derive_seed(self.seed, "exploit", self._at, trial) % count

    def _resumed(self, trial: int, source: int | None) -> Resume:
        self._copies[trial] = self._copies.get(trial, 0) + (source is not None)
        return Resume(trial, self._until, self._at, source, self._copies[trial])
