"""How much weak rows should count beside gold ones: estimated on gold rows held out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
import polars as pl

from gristmill.core.errors import UsageError
from gristmill.train.draws import steady
from gristmill.train.weak.sparse_rows import FeaturesLike
from gristmill.train.weak.weak_rows import ALL_ROWS, Relabel, Selections, WeakRows
from gristmill.train.weak.weighing_folds import Candidate, held_out
from gristmill.train.weak.weighing_standings import compare, decide, explain, finalists

WEIGHTS = (0.003, 0.01, 0.03, 0.1, 0.3, 1.0)
PENALTIES = (0.03, 0.15, 0.75, 4.0)
TARGETS = ("soft", "hard")
FEWEST_GOLD_ROWS = 20
"""With fewer gold rows, or gold of one class only, nothing can be estimated."""


@dataclass(frozen=True)
class Weighing:
    """What was found, and the labels to train on.

    Attributes:
        labels: the labels table with `weight` (and `probs`, where targets are hard) as they should
            go into training: 1 for gold, 0 for rows left out.
        weight: what an average weak row counts beside a gold row; 0: train on gold alone.
        targets: "soft" or "hard".
        rows: the selection of weak rows: "all" or a name given.
        l2: the penalty that suits, for a logistic regression on features of norm about 1.
        reason: why, in a sentence.
        scores: a row for each candidate, at the penalty that suits it: `weight`, `targets`, `rows`,
            `l2`, `log_loss` and `accuracy` on gold rows held out, `gain` over gold alone in
            log-loss with the bounds `low` and `high` of its 95 % interval, `rounds` of
            cross-validation, `chosen`. Without rows where nothing could be estimated.
    """

    labels: pl.DataFrame
    weight: float
    targets: str
    rows: str
    l2: float | None
    reason: str
    scores: pl.DataFrame

    def __repr__(self) -> str:
        return f"Weighing(weight={self.weight:g}, {self.targets} targets, rows={self.rows!r})"


def weigh(
    features: FeaturesLike,
    labels: pl.DataFrame,
    *,
    weights: Sequence[float] = WEIGHTS,
    penalties: Sequence[float] = PENALTIES,
    targets: Sequence[str] = ("soft",),
    selections: Selections | None = None,
    relabel: Relabel | None = None,
    folds: int = 5,
    repeats: int = 3,
    most_weak_rows: int = 10_000,
    seed: int = 0,
    threads: int = 1,
) -> Weighing:
    """Estimate how much weak rows should count in training, which of them, and as what.

    A logistic regression stands in for the model to be trained. It is fitted on gold rows and weak
    ones under every candidate, and judged on gold rows held out (stratified cross-validation).
    Every candidate gets one round; those ahead get all `repeats`. Weak rows are left out unless
    they make held-out gold rows likelier by more than one standard error of the paired difference
    over rows (Breiman et al. 1984, section 3.4.3) without costing accuracy; of those within half
    such an error of the best, the least weight is taken. A few hundred gold rows often teach more
    than thousands of weak ones (Zhu et al. 2023, "Weaker Than You Think"), and the error of weak
    rows does not average out, so their best weight falls as gold grows.

    The weak labels of a label model that saw all gold know a little about the rows held out, which
    flatters them. `relabel` takes that away, at the cost of a fit of the label model for each fold.

    Args:
        features: of the rows of `labels`, in that order: int64 ids of n-grams (0 = padding), as
            `HashedNgrams` gives, which become TF-IDF; or numbers float[n, width]; or a SciPy
            sparse matrix.
        labels: a labels table: `row_id`, `probs`, `weight` (how weak rows compare with one
            another), `source` ("gold", or another word for weak rows). Rows of weight 0 that are
            not gold take no part.
        weights: candidates for what an average weak row counts beside a gold row, above 0.
        penalties: candidates for the penalty of the logistic regression, above 0.
        targets: "soft" (the probabilities), "hard" (the likeliest class), or both to choose from.
            Hard ones seldom gain and can lose much, and trying them doubles the time.
        selections: name -> bool[rows], subsets of weak rows to choose from besides all of them.
        relabel: takes a frame of gold rows (`row_id`, `label`), returns a labels table of all rows
            that knows no other gold.
        folds: of the cross-validation.
        repeats: rounds of it.
        most_weak_rows: with more, a sample is tried, each row counting for several.
        seed: of the folds and of that sample.
        threads: torch's intra-op threads.

    Raises:
        UsageError: an argument is outside its range.
        TrainError: features and labels do not fit together.
    """
    _check(weights, penalties, targets)
    _check_counts(folds=(folds, 2), repeats=(repeats, 1), most_weak_rows=(most_weak_rows, 1))
    rows = WeakRows.of(features, labels, dict(selections or {}))
    reason = _no_choice(rows)
    if reason is not None:
        return _assumed(rows, labels, reason)
    tried = rows.sample(most_weak_rows, seed)
    names, kinds = list(rows.selections), list(targets)
    alone = [Candidate.gold_alone(l2) for l2 in penalties]
    mixed = [Candidate(*each) for each in product(kinds, names, penalties, weights)]
    with steady(threads):
        first = held_out(tried, [*alone, *mixed], relabel, folds=folds, seed=seed, repeat=0)
        ahead = finalists(first)
        rounds = [first] + [
            held_out(tried, ahead, relabel, folds=folds, seed=seed, repeat=repeat)
            for repeat in range(1, repeats)
        ]
    standings = compare(rounds)
    best = decide(standings)
    scores = pl.DataFrame([each.as_row(chosen=each is best) for each in standings], orient="row")
    return Weighing(
        _weighed(rows, labels, best.candidate),
        best.candidate.weight,
        best.candidate.targets,
        best.candidate.rows,
        best.candidate.l2,
        explain(best, standings, int(rows.gold.sum())),
        scores,
    )


def _no_choice(rows: WeakRows) -> str | None:
    """Return why nothing can be estimated, None where it can."""
    gold = int(rows.gold.sum())
    seen = np.unique(rows.truth[rows.gold])
    if gold < FEWEST_GOLD_ROWS:
        return f"assumed: {gold} gold rows, {FEWEST_GOLD_ROWS} needed to estimate"
    if len(seen) < 2:
        return f"assumed: all {gold} gold rows are of class {seen[0]}"
    if rows.gold.all():
        return "assumed: there are no weak rows"
    return None


def _assumed(rows: WeakRows, labels: pl.DataFrame, reason: str) -> Weighing:
    """Return the labels with weak rows at full weight, as when they are all there is."""
    candidate = Candidate("soft", ALL_ROWS, 1.0, 1.0)
    table = _weighed(rows, labels, candidate)
    return Weighing(table, 1.0, "soft", ALL_ROWS, None, reason, pl.DataFrame())


def _weighed(rows: WeakRows, labels: pl.DataFrame, candidate: Candidate) -> pl.DataFrame:
    """Return the labels table with the candidate's weights and targets."""
    weights = np.zeros(labels.height)
    weights[rows.places] = rows.weights(candidate.weight, candidate.rows)
    probs = np.array(labels["probs"].to_list(), np.float64)
    probs[rows.places] = rows.targets(candidate.targets)
    dtype = labels.schema["probs"]
    return labels.with_columns(
        pl.Series("probs", probs.tolist(), dtype=dtype), pl.Series("weight", weights)
    )


def _check(weights: Sequence[float], penalties: Sequence[float], targets: Sequence[str]) -> None:
    for name, values in (("weights", weights), ("penalties", penalties)):
        if not values or not all(0 < each < float("inf") for each in values):
            raise UsageError(f"{name} must be one or more numbers above 0, found {values!r}")
    if not targets or not set(targets) <= set(TARGETS):
        raise UsageError(f"targets must be out of {', '.join(TARGETS)}, found {targets!r}")


def _check_counts(**counts: tuple[int, int]) -> None:
    for name, (count, least) in counts.items():
        if count < least:
            raise UsageError(f"{name} must be at least {least}, found {count}")
