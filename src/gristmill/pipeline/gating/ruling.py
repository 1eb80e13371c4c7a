"""One thing that the gate looked at: what it says, in a sentence."""

from __future__ import annotations

from typing import Any, NamedTuple

from gristmill.pipeline.gating.verdict import Answer


class Ruling(NamedTuple):
    """What one comparison, or one rule, says.

    Attributes:
        answer: what the candidate would get for this alone.
        reason: a sentence with the figures.
        figures: the same for the record.
    """

    answer: Answer
    reason: str
    figures: dict[str, Any]
