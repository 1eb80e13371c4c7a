"""From what is known to the model that answers: run once at first, then whenever it has drifted.

    gristmill run

Two sources: a table of before anything was served, and what was served since, with the truth that
came back of it. The newest rows are learned from; some of them are kept apart for the gate, which
asks whether a new model answers them better than the live one did when they were served.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from gristmill import data, serve, step, train, validate
from gristmill.pipeline import (
    Contender,
    Evidence,
    Policy,
    Verdict,
    answers_of,
    gathered_gold,
    judge,
    release,
    say,
    training_profile,
    workdir,
)

if TYPE_CHECKING:
    import numpy as np
    import polars as pl

    from gristmill.store import Bundle, Decision

HERE = Path(__file__).parent
NAME = "outcome"
CLASSES = ("no", "yes")
LABEL = "label"
ANSWERED = ("version", "said")
"""Of a row that was served: which version answered, and its probability of "yes"."""


# 1. Load: what was known, what came back from production, and what was answered there ----------


@step
def history(file: Path = HERE / "history.parquet") -> pl.DataFrame:
    """Rows with their labels from before anything was served."""
    return data.read_table(file)


@step
def labelled(history: pl.DataFrame, feedback: Path = HERE / "feedback") -> pl.DataFrame:
    """Those and the rows that production told the truth of, oldest first."""
    records = history.select(data.ROW_ID, LABEL)
    rows, gold = gathered_gold(feedback).added_to(history.drop(LABEL), records)
    say(f"{gold.height - records.height:,} truths came back from production")
    labels = gold.select(data.ROW_ID, LABEL).unique(data.ROW_ID, keep="last", maintain_order=True)
    return rows.join(labels, on=data.ROW_ID).sort(data.ROW_ID)


@step
def answered(served: Path = HERE / "serving" / "served" / "live") -> pl.DataFrame:
    """Who said what of the rows that were served."""
    from answers import answers_given

    return answers_given(served)


# 2. Choose and check: the newest rows, against what rows have to look like ---------------------


@step
def rows(labelled: pl.DataFrame, answered: pl.DataFrame, newest: int = 4000) -> pl.DataFrame:
    """The newest rows, with what was answered where they were served."""
    newer = labelled.tail(newest)
    return newer.join(answered, on=data.ROW_ID, how="left", maintain_order="left")


@step
def schema(history: pl.DataFrame) -> validate.Schema:
    """What rows have to look like, inferred from the history."""
    return validate.Schema.infer(validate.profile(history.drop(data.ROW_ID, LABEL), name="history"))


@step
def check(rows: pl.DataFrame, schema: validate.Schema) -> validate.Report:
    """The newest rows against the schema; values that are new are no reason not to learn them."""
    report = schema.check(rows.drop(LABEL, *ANSWERED))
    say(str(report))
    return report


@step
def parts(rows: pl.DataFrame, judged: float = 0.25, seed: int = 0) -> dict[str, pl.DataFrame]:
    """Rows to learn from, and rows that only the gate sees."""
    return data.split(rows, {"learn": 1 - judged, "judge": judged}, seed=seed)


# 3. Train: a bundle, with what its training data look like and how it answers unseen rows -------


@step
def candidate(parts: dict[str, pl.DataFrame], epochs: int = 40, seed: int = 0) -> Bundle:
    """A small network; a fifth of its rows are held out to say when to stop."""
    from learning import TableNetwork

    learn = parts["learn"]
    featurizer = columns_of(learn)
    examples = train.Examples.from_table(learn, LABEL, featurizer, CLASSES)
    fitted = train.fit(
        lambda: TableNetwork(featurizer.apply(learn)), examples, classes=CLASSES, validation=0.2,
        epochs=epochs, patience=4, lr=3e-3, batch_size=128, metric="loss", seed=seed,
        checkpoint=workdir() / "fit",
    )  # fmt: skip
    say(f"log loss {fitted.metrics['validation_loss']:.3f} on rows held out of {learn.height:,}")
    unseen = fitted.predict_probs(featurizer.apply(parts["judge"]))
    profile = training_profile(learn, featurizer, answers=answers_of(unseen, CLASSES))
    return fitted.bundle(
        workdir() / "bundle", name=NAME, featurizer=featurizer, extra_files=profile
    )


# 4. Gate: better than the model that answers, on rows that it answered live --------------------


@step
def gate(parts: dict[str, pl.DataFrame], candidate: Bundle) -> Verdict:
    """The candidate must have a lower log loss than the live model, beyond the interval."""
    judged = answered_by_live(parts["judge"])
    said = judged["said"].to_numpy()
    verdict = judge(
        Contender("the candidate", probabilities(candidate, judged)),
        [] if judged["version"].is_null().all() else [Contender("the live model", said)],
        Evidence((judged[LABEL] == CLASSES[1]).to_numpy().astype(int)),
        Policy("log_loss"),
    )
    say(str(verdict))
    return verdict


# 5. Release: registered, rehearsed in a server of its own, and live ----------------------------


@step(gated=False)
def released(candidate: Bundle, gate: Verdict) -> Decision:
    """On record, whatever the gate says; if it says so, the candidate answers from now on."""
    decision = release(candidate, gate, NAME)
    say(f"{NAME} version {decision.version}: {decision.verdict}")
    return decision


def columns_of(rows: pl.DataFrame) -> data.Columns:
    """Return what the model reads: all but ids, truth and answers."""
    others = (data.ROW_ID, LABEL, *ANSWERED)
    return data.Columns(tuple(name for name in rows.columns if name not in others))


def probabilities(bundle: Bundle, rows: pl.DataFrame) -> np.ndarray:
    """Return what a bundle says: the probability of "yes", float64[n]."""
    import polars as pl

    out = workdir() / "answers.parquet"
    serve.predict_table(bundle, rows.drop(LABEL, *ANSWERED), out)
    return pl.read_parquet(out)["probs"].list.get(1).to_numpy()


def answered_by_live(rows: pl.DataFrame) -> pl.DataFrame:
    """Return the rows that the newest version answered; where nothing was served yet, all."""
    import polars as pl

    versions = rows["version"].drop_nulls()
    return rows if versions.is_empty() else rows.filter(pl.col("version") == versions[-1])
