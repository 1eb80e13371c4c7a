"""From raw text messages to a served spam filter, in one file that reads top to bottom.

    gristmill run examples/sms_spam/pipeline.py

5,572 real messages. Experts have labelled 200 of the training messages; labelling functions (see
labelers.py) label the rest. A function marked `@step` is a step of the pipeline: a parameter
without a default names the step whose result it receives, one with a default is a setting.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import comparing
import labelers
import training

from gristmill import data, label, serve, step, train, validate
from gristmill.pipeline import Policy, Verdict, release, say, workdir

if TYPE_CHECKING:
    import polars as pl

    from gristmill.store import Bundle, Decision

HERE = Path(__file__).parent
CLASSES = list(labelers.CLASSES)
NAME = "sms_spam"


# 1. Split: train, test, and a later batch that plays production -------------------------------


@step
def messages() -> pl.DataFrame:
    """The SMS Spam Collection, with what a phone company would know of each message."""
    import polars as pl

    text = pl.col("text")
    digits = text.str.count_matches(r"[0-9]")
    return data.load("sms_spam").with_columns(
        chars=text.str.len_chars().cast(pl.Int64),
        words=text.str.split(" ").list.len().cast(pl.Int64),
        digits=pl.when(digits == 0).then(pl.lit("none"))
        .when(digits < 5).then(pl.lit("few")).otherwise(pl.lit("many")),
    )  # fmt: skip


@step
def split(messages: pl.DataFrame, seed: int = 0) -> dict[str, pl.DataFrame]:
    """Three parts. Equal texts stay together: a test message was never seen in training."""
    shares = {"train": 0.6, "test": 0.2, "later": 0.2}
    return data.split(messages, shares, seed=seed, by="text", stratify="label")


@step
def train_rows(split: dict[str, pl.DataFrame]) -> pl.DataFrame:
    """Training messages without their labels: from here on we pretend not to know them."""
    return split["train"].drop("label")


@step
def gold(split: dict[str, pl.DataFrame], rows: int = 200, seed: int = 0) -> pl.DataFrame:
    """The few training messages that experts have labelled."""
    return data.sample(split["train"], rows, seed).select(data.ROW_ID, "label")


@step
def test_rows(split: dict[str, pl.DataFrame]) -> pl.DataFrame:
    """Messages with their labels, for the final comparison alone."""
    return split["test"]


@step
def later_rows(split: dict[str, pl.DataFrame]) -> pl.DataFrame:
    """Messages that arrive after training."""
    return split["later"].drop("label")


# 2. Label: many rules of thumb and a few experts become one label with a probability ----------


@step
def votes(train_rows: pl.DataFrame) -> label.Votes:
    """What each labelling function says about each message; edit one and one column is redone."""
    return label.apply(labelers.FUNCTIONS, train_rows, classes=CLASSES)


@step
def labelling_analysis(votes: label.Votes, gold: pl.DataFrame) -> label.Analysis:
    """How often each function votes, meets others, and is right on the gold rows."""
    found = label.analyze(votes, gold)
    say(str(found))
    return found


@step
def label_model(votes: label.Votes, gold: pl.DataFrame) -> label.LabelModel:
    """How far to trust each function, learned from agreement and from the gold rows."""
    return label.LabelModel(CLASSES, seed=0).fit(votes, gold=gold)


@step
def labels(label_model: label.LabelModel, votes: label.Votes) -> label.Labels:
    """A probability, a weight and an explanation for every training message."""
    return label_model.predict(votes)


# 3. Validate: know the data, and notice when it changes ---------------------------------------


@step
def statistics(train_rows: pl.DataFrame) -> validate.Statistics:
    """What training messages look like."""
    return validate.profile(train_rows, name="train")


@step
def schema(statistics: validate.Statistics, edited: Path = HERE / "schema.toml") -> validate.Schema:
    """What messages have to look like: inferred, unless you put your own schema.toml here."""
    return validate.Schema.read(edited) if edited.exists() else validate.Schema.infer(statistics)


@step
def later_check(
    later_rows: pl.DataFrame, schema: validate.Schema, statistics: validate.Statistics
) -> validate.Report:
    """The later batch against the schema and the training data: all is well."""
    report = schema.check(later_rows, baseline=statistics)
    say(report.verdict)
    return report


@step
def corrupted(later_rows: pl.DataFrame) -> Path:
    """The later batch after a bad day: a CSV file with six kinds of damage."""
    from corruption import write_corrupted

    return write_corrupted(later_rows, workdir() / "corrupted.csv")


@step
def corrupted_check(
    corrupted: Path, schema: validate.Schema, statistics: validate.Statistics
) -> validate.Report:
    """The damaged batch: every damage is a finding with its evidence."""
    report = schema.check(corrupted, baseline=statistics)
    say(str(report))
    return report


@step
def quarantine(corrupted: Path, corrupted_check: validate.Report) -> dict[str, pl.DataFrame]:
    """Bad rows are set aside with their reasons; good rows continue."""
    good, bad = validate.quarantine(corrupted, corrupted_check)
    say(f"{good.height:,} good rows continue, {bad.height:,} are set aside")
    return {"good": good, "bad": bad}


# 4. Train: four kinds of model on soft labels, weighted by how far the labels can be trusted --


@step
def linear(
    train_rows: pl.DataFrame, labels: label.Labels, trials: int = 8, seed: int = 0
) -> train.Fitted:
    """Hashed n-grams and a linear layer; settings searched with Optuna."""
    return training.search_model("linear", train_rows, labels.table, CLASSES, trials, seed)


@step
def mlp(
    train_rows: pl.DataFrame, labels: label.Labels, trials: int = 5, seed: int = 0
) -> train.Fitted:
    """An embedding bag and a small network; settings searched with Optuna."""
    return training.search_model("mlp", train_rows, labels.table, CLASSES, trials, seed)


@step
def cnn(
    train_rows: pl.DataFrame, labels: label.Labels, epochs: int = 8, seed: int = 0
) -> train.Fitted:
    """A convolutional network over words."""
    return training.fit_model("cnn", train_rows, labels.table, CLASSES, seed, epochs)


@step
def transformer(
    train_rows: pl.DataFrame, labels: label.Labels, epochs: int = 6, seed: int = 0
) -> train.Fitted:
    """A small transformer."""
    return training.fit_model("transformer", train_rows, labels.table, CLASSES, seed, epochs)


@step
def best(
    linear: train.Fitted, mlp: train.Fitted, cnn: train.Fitted, transformer: train.Fitted
) -> str:
    """The candidate with the lowest loss on the validation part; the test part has no say here.

    The loss weighs how sure a model is of every answer, so on a few hundred messages it tells
    models apart where their F1 differs by a message or two.
    """
    candidates = {"linear": linear, "mlp": mlp, "cnn": cnn, "transformer": transformer}
    losses = {kind: one.metrics["validation_loss"] for kind, one in candidates.items()}
    name = min(losses, key=lambda kind: losses[kind])
    say(", ".join(f"{kind} {loss:.4f}" for kind, loss in losses.items()))
    say(f"lowest loss on the validation part: {name}")
    return name


@step
def candidate(
    best: str,
    linear: train.Fitted,
    mlp: train.Fitted,
    cnn: train.Fitted,
    transformer: train.Fitted,
) -> train.Fitted:
    """The model that goes on to the gate."""
    return {"linear": linear, "mlp": mlp, "cnn": cnn, "transformer": transformer}[best]


# 5. Gate: the candidate against the simple ways, on messages that nobody has seen -------------


@step
def rivals(
    best: str,
    split: dict[str, pl.DataFrame],
    gold: pl.DataFrame,
    votes: label.Votes,
    seed: int = 0,
) -> dict[str, train.Fitted]:
    """The same kind of model on votes alone and on all true labels; on gold rows alone the better
    of the two kinds that get along with few rows."""
    rows = split["train"]
    weak = label.LabelModel(CLASSES, seed=0).fit(votes).predict(votes)
    alone = [training.fit_model(kind, rows, gold, CLASSES, seed) for kind in ("linear", "mlp")]
    return {
        "gold only": min(alone, key=lambda one: one.metrics["validation_loss"]),
        "weak only": training.fit_model(best, rows, weak.table, CLASSES, seed),
        "all gold (ceiling)": training.fit_model(best, rows, "label", CLASSES, seed),
    }


@step
def predictions_on_test(
    test_rows: pl.DataFrame, candidate: train.Fitted, rivals: dict[str, train.Fitted]
) -> pl.DataFrame:
    """What everyone says about the test messages; majority vote is everyone's first idea."""
    vote = label.apply(labelers.FUNCTIONS, test_rows, classes=CLASSES)
    return comparing.answers(test_rows, vote, {"weak + gold": candidate, **rivals}, CLASSES)


@step
def comparison(predictions_on_test: pl.DataFrame) -> list[dict[str, object]]:
    """Precision, recall and F1 of each, with 95 % bootstrap intervals."""
    rows = comparing.score_all(predictions_on_test)
    say(comparing.as_text(rows))
    return rows


@step
def gate(predictions_on_test: pl.DataFrame, floor: float = 0.85) -> Verdict:
    """The candidate must beat majority vote, and gold-only training beyond the interval."""
    strict, lenient = Policy(floor=floor), Policy(floor=floor, beyond_interval=False)
    verdict = comparing.stricter(
        comparing.judged(predictions_on_test, "weak + gold", "gold only", strict),
        comparing.judged(predictions_on_test, "weak + gold", "majority vote", lenient),
    )
    say(str(verdict))
    return verdict


# 6. Bundle: all that serving needs, in a folder that runs no code when opened ------------------


@step
def bundle(
    best: str,
    candidate: train.Fitted,
    schema: validate.Schema,
    comparison: list[dict[str, object]],
    gate: Verdict,
    train_rows: pl.DataFrame,
    test_rows: pl.DataFrame,
) -> Bundle:
    """The exported graph and weights, signature, schema, profile, preprocessing, metrics."""
    return training.write_bundle(
        candidate, best, workdir() / "bundle", name=NAME, schema=schema,
        metrics=comparing.figures_of(comparison, "weak + gold"), lineage={"gate": gate.verdict},
        learned_from=train_rows, unseen=test_rows,
    )  # fmt: skip


@step
def released(bundle: Bundle, gate: Verdict) -> Decision:
    """Register the bundle; once it has answered test requests, make it the live version."""
    decision = release(bundle, gate, NAME)
    say(f"{NAME} version {decision.version}: {decision.verdict}")
    return decision


# 7. Serve: a real server and real requests, then the later batch offline -----------------------


@step
def served(bundle: Bundle) -> list[dict[str, object]]:
    """Start the server on a free port, send it good and bad requests, shut it down."""
    from requests_to_serve import exchange_all

    exchanges = exchange_all(bundle.folder)
    for item in exchanges:
        say(f"{item['name']:<18} HTTP {item['status']}")
    return exchanges


@step
def predictions(bundle: Bundle, later_rows: pl.DataFrame) -> Path:
    """An answer for every message of the later batch, each with an id that can be traced."""
    out = workdir() / "predictions.parquet"
    summary = serve.predict_table(bundle, later_rows, out)
    say(f"{summary.rows:,} rows: {summary.labels}")
    return out


# 8. Report: one HTML page, offline -------------------------------------------------------------


@step
def report(
    labelling_analysis: label.Analysis,
    labels: label.Labels,
    statistics: validate.Statistics,
    later_check: validate.Report,
    corrupted_check: validate.Report,
    linear: train.Fitted,
    mlp: train.Fitted,
    cnn: train.Fitted,
    transformer: train.Fitted,
    comparison: list[dict[str, object]],
    gate: Verdict,
    served: list[dict[str, object]],
    predictions: Path,
) -> Path:
    """Everything above on one page, with the lineage drawn as a graph."""
    from reporting import write_report

    curves = {"linear": linear, "mlp": mlp, "cnn": cnn, "transformer": transformer}
    page = write_report(
        workdir() / "report.html", labelling_analysis, labels, statistics, later_check,
        corrupted_check, curves, comparison, gate, served,
    )  # fmt: skip
    say("trace a prediction back:  gristmill lineage " + comparing.first_id(predictions))
    return page
