"""The comparison of this example: everyone on the same test messages, with intervals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from gristmill import label, train
from gristmill.core.metrics import score_intervals
from gristmill.pipeline import Contender, Evidence, Policy, Verdict, judge

if TYPE_CHECKING:
    import numpy as np
    import polars as pl
    from numpy.typing import NDArray

FIGURES = ("precision", "recall", "f1")
ORDER = ("majority vote", "gold only", "weak only", "weak + gold", "all gold (ceiling)")


def answers(
    rows: pl.DataFrame,
    votes: label.Votes,
    models: Mapping[str, train.Fitted],
    classes: Sequence[str],
) -> pl.DataFrame:
    """Return the true class and everyone's answer (class numbers) for each test message."""
    import numpy as np
    import polars as pl

    columns = {name: model.predict(ids_for(model, rows)) for name, model in models.items()}
    # Where votes tie or nobody votes, majority vote answers the class that most messages have.
    majority = label.MajorityVote(classes, default=0).predict(votes).table["label"].to_numpy()
    truth = np.array([classes.index(name) for name in rows["label"]])
    everyone = {"truth": truth, "majority vote": majority, **columns}
    return pl.DataFrame({"row_id": rows["row_id"], **everyone})


def ids_for(model: train.Fitted, rows: pl.DataFrame) -> NDArray[np.int64]:
    """Encode rows as this kind of model wants them."""
    kind = model.spec.kind if model.spec else "linear"
    return train.text_featurizer(kind).apply(rows)


def score_all(answers: pl.DataFrame) -> list[dict[str, object]]:
    """Return precision, recall and F1 of each as (value, low, high)."""
    truth = answers["truth"].to_numpy()
    rows: list[dict[str, object]] = []
    for name in ORDER:
        found = score_intervals(truth, answers[name].to_numpy(), draws=500)
        figures = {key: [it.value, it.low, it.high] for key, it in found.items()}
        rows.append({"name": name, **figures})
    return rows


def as_text(rows: Sequence[Mapping[str, object]]) -> str:
    """Print the comparison as a table of 80 columns at most."""
    lines = [f"{'on the test part':<19}" + "".join(f"{name:<20}" for name in FIGURES)]
    for row in rows:
        cells = [row[name] for name in FIGURES]
        shown = "".join(f"{v:.3f} [{lo:.3f},{hi:.3f}] " for v, lo, hi in cells)
        lines.append(f"{row['name']:<19}{shown}".rstrip())
    return "\n".join(lines)


def judged(answers: pl.DataFrame, candidate: str, rival: str, policy: Policy) -> Verdict:
    """Let the gate compare the candidate with a rival on the test messages, row by row."""
    mine, theirs = (Contender(name, answers[name].to_numpy()) for name in (candidate, rival))
    return judge(mine, [theirs], Evidence(answers["truth"].to_numpy()), policy)


def stricter(one: Verdict, two: Verdict) -> Verdict:
    """Return the verdict that asks for more, with the reasons of both."""
    order = ("promote", "hold", "reject")
    worst = max((one, two), key=lambda verdict: order.index(verdict.verdict))
    reasons = list(dict.fromkeys([*one.reasons, *two.reasons]))
    notes = list(dict.fromkeys([*one.notes, *two.notes]))
    evidence = {"judged": [one.evidence, two.evidence]}
    return Verdict(worst.verdict, reasons, one.candidate, notes, evidence)


def figures_of(rows: Sequence[Mapping[str, object]], name: str) -> dict[str, float]:
    """Return the figures of one row of the comparison, without their intervals."""
    row = next(item for item in rows if item["name"] == name)
    return {figure: float(row[figure][0]) for figure in FIGURES}  # type: ignore[index]


def first_id(predictions: Path) -> str:
    """Return the id of the first prediction in a file of them."""
    import polars as pl

    return str(pl.read_parquet(predictions, n_rows=1)["prediction_id"][0])
