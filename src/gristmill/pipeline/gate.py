"""The gate between a trained candidate and the live model: a pure function with reasons.

(candidate, incumbents, policy, evidence)  ->  promote | hold | reject, and why
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal, Self, TypeAlias

import msgspec

from gristmill.core.intervals import Interval

VERDICT_FILE = "verdict.json"
Answer: TypeAlias = Literal["promote", "hold", "reject"]
_FROM_WORST: tuple[Answer, ...] = ("reject", "hold", "promote")


class Policy(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a candidate must show.

    Attributes:
        metric: the figure that decides, larger is better.
        floor: the candidate's figure must reach it.
        min_gain: how far ahead of every incumbent it must be.
        beyond_interval: the whole interval of the paired difference must lie above `min_gain`;
            otherwise its centre has to, and a candidate within the interval is held, not rejected.
        min_rows: fewer rows of evidence than this hold every candidate.
    """

    metric: str = "f1"
    floor: float = 0.0
    min_gain: float = 0.0
    beyond_interval: bool = True
    min_rows: int = 100


class Verdict(msgspec.Struct, frozen=True):
    """What the gate decided, and why.

    Attributes:
        verdict: `promote`, `hold` (not shown to be better) or `reject` (shown not to be).
        reasons: one sentence each, with the figures.
        candidate: the candidate's name.
    """

    verdict: Answer
    reasons: list[str]
    candidate: str = ""

    @property
    def passed(self) -> bool:
        """Whether what depends on the gate may go on."""
        return self.verdict == "promote"

    def save(self, folder: Path) -> None:
        """Write the verdict as JSON."""
        (folder / VERDICT_FILE).write_bytes(msgspec.json.encode(self))

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read what `save` wrote."""
        return msgspec.json.decode((folder / VERDICT_FILE).read_bytes(), type=cls)

    def describe(self) -> dict[str, object]:
        """Return the verdict and its reasons."""
        return {"verdict": self.verdict, "reasons": self.reasons, "candidate": self.candidate}


def judge(
    candidate: str,
    figure: float,
    gains: Mapping[str, Interval],
    *,
    rows: int,
    policy: Policy | None = None,
    failures: Sequence[str] = (),
) -> Verdict:
    """Judge a candidate.

    Args:
        candidate: its name, for the record.
        figure: its value of `policy.metric`.
        gains: incumbent's name -> interval of the paired difference candidate - incumbent on the
            same rows (`gristmill.core.metrics.difference_interval`).
        rows: how many rows the figures rest on.
        policy: what has to be shown.
        failures: sentences about other checks that failed; each one rejects.
    """
    rules = policy or Policy()
    if failures:
        return Verdict("reject", list(failures), candidate)
    if rows < rules.min_rows:
        short = f"{rows} rows of evidence, the policy asks for {rules.min_rows}"
        return Verdict("hold", [short], candidate)
    if figure < rules.floor:
        low = f"{rules.metric} {figure:.3f} is below the floor {rules.floor:.3f}"
        return Verdict("reject", [low], candidate)
    steps = [_against(name, gain, rules) for name, gain in gains.items()]
    said = {verdict for verdict, _ in steps}
    worst: Answer = next((answer for answer in _FROM_WORST if answer in said), "promote")
    reasons = [reason for verdict, reason in steps if verdict == worst]
    floor = f"{rules.metric} {figure:.3f} on {rows} rows, floor {rules.floor:.3f}"
    return Verdict(worst, [floor, *reasons], candidate)


def _against(name: str, gain: Interval, rules: Policy) -> tuple[Answer, str]:
    shown = f"{rules.metric} {gain.value:+.3f} [{gain.low:+.3f}, {gain.high:+.3f}] against {name}"
    needed = f"needs more than {rules.min_gain:+.3f}"
    if gain.high <= rules.min_gain:
        return "reject", f"{shown}: worse, {needed}"
    if gain.low > rules.min_gain:
        return "promote", f"{shown}: better beyond the interval"
    if not rules.beyond_interval and gain.value > rules.min_gain:
        return "promote", f"{shown}: better, within the interval"
    return "hold", f"{shown}: not shown to be better, {needed}"
