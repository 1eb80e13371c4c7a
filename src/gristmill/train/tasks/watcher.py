"""What a scheduler tells as it goes."""

from __future__ import annotations

from gristmill.train.tasks.executor import Finished


class Watcher:
    """What a scheduler tells as it goes; override what is of interest.

    Each of these may call `add`, `pause`, `resume` and `stop` of the scheduler.
    """

    def on_finished(self, event: Finished) -> None:
        """Hear that a task has ended."""

    def on_step(self, trial: int, step: int) -> None:
        """Hear that every step before `step` is complete, with the evaluation due after it.

        A trial that is paused here stops here, unless its next step is under way already: only
        where updates wait for one another (clipping, an evaluation, grain `step`) it never is.
        Set `TrialGraph.hold(step)` beforehand to stop at a step exactly.
        """

    def on_done(self, trial: int) -> None:
        """Hear that a trial has ended its last step."""

    def on_paused(self, trial: int) -> None:
        """Hear that a trial that was to pause stands at a step boundary."""

    def on_failed(self, trial: int, reason: str) -> None:
        """Hear that a trial has failed; the others go on."""

    def on_lost(self, trial: int, step: int) -> int:
        """Return the step to go back to, `step` or an earlier one, after a device was lost.

        Nothing of the trial is in flight any more. `step` is the first one that was not complete;
        records that are ahead of it have to be put back.
        """
        return step
