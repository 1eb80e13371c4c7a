"""Why a label is what it is."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gristmill.label.scoring import Scoring as Scoring


@dataclass(frozen=True, slots=True)
class SourceEvidence:
    """What one source said of a row, and what that did.

    Attributes:
        source: its name.
        fingerprint: its version.
        vote: class name, or None.
        state: "voted", "abstained", "failed" or "not run".
        log_odds: what it adds to the log-odds of the best class against the second best; None
            where the labels come from a rule that does not add up evidence.
        scores: what it adds to the log-score of each class, k floats, or None.
    """

    source: str
    fingerprint: str
    vote: str | None
    state: str
    log_odds: float | None
    scores: tuple[float, ...] | None


@dataclass(frozen=True, slots=True)
class Explanation:
    """Why a row has its label.

    Attributes:
        row_id: the row.
        label: class name, or None.
        source: "gold", "model" or "none".
        weight: 0 to 1.
        probs: class name -> probability.
        model_probs: class name -> probability from the votes alone, also for gold rows.
        best, runner_up: the classes that `log_odds` compares.
        prior_log_odds: log-odds of best against runner-up before any vote, or None. Where no source
            votes and the model says outright what that means (`Scoring.silent`), it is all there
            is: no source adds anything.
        evidence: one entry per source, strongest first.
    """

    row_id: int | str
    label: str | None
    source: str
    weight: float
    probs: dict[str, float]
    model_probs: dict[str, float]
    best: str
    runner_up: str
    prior_log_odds: float | None
    evidence: tuple[SourceEvidence, ...]

    def __str__(self) -> str:
        shown = ", ".join(f"{name} {prob:.3f}" for name, prob in self.probs.items())
        lines = [
            f"row {self.row_id}: {self.label or 'no label'} "
            f"(from {self.source}, weight {self.weight:.2f}; {shown})"
        ]
        if self.source == "gold":
            lines.append("  an expert's label; the votes below did not decide it")
        if self.prior_log_odds is not None:
            added = any(each.scores is not None for each in self.evidence)
            before = "prior" if added else "no source votes"
            lines.append(
                f"  {self.prior_log_odds:+.2f}  {before}, {self.best} against {self.runner_up}"
            )
        lines += [self._line(each) for each in self.evidence if self._counts(each)]
        return "\n".join(lines)

    @staticmethod
    def _counts(each: SourceEvidence) -> bool:
        return each.state != "abstained" or bool(each.log_odds)

    @staticmethod
    def _line(each: SourceEvidence) -> str:
        odds = "       " if each.log_odds is None else f"  {each.log_odds:+.2f}"
        return f"{odds}  {each.source}: {each.vote or each.state}"


def explain(
    row_id: int | str,
    label: int,
    source: str,
    weight: float,
    probs: NDArray[np.float64],
    votes: list[tuple[str, str, int, str]],
    classes: tuple[str, ...],
    scoring: Scoring | None,
) -> Explanation:
    """Build the explanation of a row.

    Args:
        row_id: the row.
        label: class or -1.
        source: where the label is from.
        weight: of the row in training.
        probs: float64[k].
        votes: (source, its fingerprint, vote or -1, state) for each source.
        classes: names.
        scoring: how votes add up, if they do.
    """
    prior_scores, scores = _scores([vote for _, _, vote, _ in votes], scoring)
    model_probs = probs if prior_scores is None else _softmax(prior_scores, scores)
    best, runner_up = (int(index) for index in np.argsort(-model_probs, kind="stable")[:2])
    evidence = []
    for position, (name, mark, vote, state) in enumerate(votes):
        mine = None if scores is None else scores[position]
        odds = None if mine is None else float(mine[best] - mine[runner_up])
        evidence.append(
            SourceEvidence(
                name,
                mark,
                classes[vote] if vote >= 0 else None,
                state,
                odds,
                None if mine is None else tuple(mine.tolist()),
            )
        )
    evidence.sort(key=lambda each: (-abs(each.log_odds or 0.0), each.state != "voted"))
    prior = None if prior_scores is None else float(prior_scores[best] - prior_scores[runner_up])
    return Explanation(
        row_id=row_id,
        label=classes[label] if label >= 0 else None,
        source=source,
        weight=weight,
        probs=dict(zip(classes, probs.tolist(), strict=True)),
        model_probs=dict(zip(classes, model_probs.tolist(), strict=True)),
        best=classes[best],
        runner_up=classes[runner_up],
        prior_log_odds=prior,
        evidence=tuple(evidence),
    )


def _scores(
    votes: list[int], scoring: Scoring | None
) -> tuple[NDArray[np.float64] | None, NDArray[np.float64] | None]:
    """Return what is known before any vote, float64[k], and what each adds, float64[m, k]."""
    if scoring is None:
        return None, None
    if scoring.silent is not None and max(votes, default=-1) < 0:
        return np.log(scoring.silent), None
    return np.array(scoring.log_prior), scoring.added(votes)


def _softmax(
    prior_scores: NDArray[np.float64], scores: NDArray[np.float64] | None
) -> NDArray[np.float64]:
    total = prior_scores if scores is None else prior_scores + scores.sum(axis=0)
    powers = np.exp(total - total.max())
    probs: NDArray[np.float64] = powers / powers.sum()
    return probs
