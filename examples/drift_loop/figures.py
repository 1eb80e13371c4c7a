"""How well a period's rows were answered, with intervals, and the table of all periods.

Two figures, for either alone can flatter. The area under the ROC curve (AUC) says how well rows are
ranked, whatever the probabilities; 0.5 is a guess. The log loss judges the probabilities, and is
told as what it saves against always saying the period's own share of "yes": above 0 is worth more
than the base rate, which nobody knows beforehand.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Sequence

import msgspec
import numpy as np
from numpy.typing import NDArray

from gristmill.core.paired import figure_of, gain

WIDTH = 80
_HEAD = (
    f"{'':<9} {'':>5} {'':>5}   {'AUC':<21}   log loss saved on the base rate\n"
    f"{'period':<9} {'rows':>5} {'yes':>5}   {'without':<10} {'with loop':<10}   "
    f"{'without':<12} {'with loop':<12}"
)


class Measured(msgspec.Struct, frozen=True):
    """A figure and half the width of its 95 % interval."""

    value: float
    half: float

    def __str__(self) -> str:
        return f"{self.value:.3f}±{self.half:.3f}".replace("0.", ".")


class Quality(msgspec.Struct, frozen=True):
    """How well rows were answered.

    Attributes:
        auc: area under the ROC curve; None where all rows are of one class.
        saved: log loss of always saying the share of "yes", less that of the answers, in nats.
        accuracy: share of rows whose likelier class was right.
    """

    auc: Measured | None
    saved: Measured
    accuracy: float


class Look(msgspec.Struct, frozen=True):
    """What monitoring said and did at the end of a period.

    Attributes:
        version: the version that answered.
        findings: codes with their columns.
        action: none, wait or retrain.
        reasons: why.
        outcome: how a retraining ended: promoted, kept or failed; empty where there was none.
        now: the version that answers from here on.
    """

    version: int
    findings: list[str]
    action: str
    reasons: list[str]
    outcome: str
    now: int

    @property
    def done(self) -> str:
        """What was done about the findings."""
        if not self.outcome:
            return "" if self.action == "none" else f"{self.action}: {'; '.join(self.reasons)}"
        return {
            "promoted": f"retrained: version {self.now} answers from here on",
            "kept": f"retrained, and the gate kept version {self.version}",
        }.get(self.outcome, "the retraining failed")

    def __str__(self) -> str:
        """Say it in a line; nothing where nothing was found."""
        return " -> ".join(part for part in (", ".join(self.findings), self.done) if part)


class Row(msgspec.Struct, frozen=True):
    """One period of the table.

    Attributes:
        period: its name.
        rows: how many were served.
        share: of "yes" among them.
        without: quality of the first version.
        with_loop: quality of the versions that answered.
        look: what monitoring said at its end.
    """

    period: str
    rows: int
    share: float
    without: Quality
    with_loop: Quality
    look: Look


def quality(truth: NDArray[np.int64], said: NDArray[np.float64]) -> Quality:
    """Measure answers.

    Args:
        truth: int64[n], 1 for "yes".
        said: float64[n], probabilities of "yes".
    """
    always = np.full(len(truth), truth.mean())
    saved = gain("log_loss", truth, said, always)
    auc = None
    if 0 < truth.sum() < len(truth):
        # A constant ranks nothing: what is gained on it is the AUC less a half.
        over = gain("auc", truth, said, always)
        auc = Measured(over.value + 0.5, over.high - over.value)
    right = figure_of("accuracy", truth, (said > 0.5).astype(np.int64))
    return Quality(auc, Measured(saved.value, saved.high - saved.value), right)


def heading() -> str:
    """Return the table's heading."""
    return f"{_HEAD}\n{'-' * WIDTH}"


def line(row: Row) -> str:
    """Return a period as a line, and a line or more of what monitoring said, if anything."""
    lines = [
        f"{row.period:<9} {row.rows:>5,} {row.share:>5.3f}   "
        f"{_shown(row.without.auc):<10} {_shown(row.with_loop.auc):<10}   "
        f"{row.without.saved.value:>+6.3f}±{row.without.saved.half:.3f} "
        f"{row.with_loop.saved.value:>+6.3f}±{row.with_loop.saved.half:.3f}"
    ]
    lines += textwrap.wrap(
        str(row.look), WIDTH, initial_indent=" " * 10, subsequent_indent=" " * 12
    )
    return "\n".join(lines)


def closing(rows: Sequence[Row]) -> str:
    """Return means over all periods, and how often was retrained."""
    kinds = [row.look.outcome for row in rows]
    share = _mean(row.share for row in rows)
    means = (
        f"{'mean':<9} {_mean(row.rows for row in rows):>5,.0f} {share:>5.3f}   "
        f"{_auc(row.without for row in rows):<10} {_auc(row.with_loop for row in rows):<10}   "
        f"{_mean(row.without.saved.value for row in rows):>+6.3f}       "
        f"{_mean(row.with_loop.saved.value for row in rows):>+6.3f}"
    )
    done = sum(bool(kind) for kind in kinds)
    told = f"{len(rows)} periods, retrained {done} times, {kinds.count('promoted')} promoted"
    return f"{'-' * WIDTH}\n{means}\n\n{told}"


def _shown(figure: Measured | None) -> str:
    return "-" if figure is None else str(figure)


def _mean(values: Iterable[float]) -> float:
    return float(np.mean(list(values)))


def _auc(found: Iterable[Quality]) -> str:
    known = [each.auc.value for each in found if each.auc is not None]
    return f"{np.mean(known):.3f}".lstrip("0") if known else "-"
