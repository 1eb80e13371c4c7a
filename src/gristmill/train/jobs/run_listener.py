"""What a training run tells whoever started it."""

from __future__ import annotations


class RunListener:
    """What a run tells whoever started it; override what is of interest.

    Each of these may call `add`, `resume` and `retire` of the run.
    """

    def on_step(self, trial: int, step: int) -> None:
        """Hear that the steps before `step` are complete, with the evaluation due after them."""

    def on_paused(self, trial: int) -> None:
        """Hear that a trial stands where it was to pause."""

    def on_done(self, trial: int) -> None:
        """Hear that a trial has made its last step."""

    def on_failed(self, trial: int, reason: str) -> None:
        """Hear that a trial has failed; the others go on."""
