"""`gristmill train`: from a labelled table to a bundle."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gristmill.cli.about import about
from gristmill.cli.output import HELP, emit, json_option, say, table

if TYPE_CHECKING:
    import polars as pl

    from gristmill.data.features import HashedNgrams
    from gristmill.train.examples import Examples
    from gristmill.train.fitted import Fitted
    from gristmill.train.study import Study

_KINDS = click.Choice(["linear", "mlp", "cnn", "transformer"])
_FILE = click.Path(dir_okay=False, path_type=Path)
_FOLDER = click.Path(file_okay=False, path_type=Path)
_METRICS = ("f1", "precision", "recall", "accuracy", "train_loss", "validation_loss")
_PATIENCE = 5


@click.command("train", context_settings=HELP)
@click.argument("data", type=_FILE)
@click.option("-o", "--output", required=True, type=_FOLDER, help="Write the bundle here.")
@click.option("--text", default="text", show_default=True, help="The column to read.")
@click.option("--label", default="label", show_default=True, help="The column of classes in DATA.")
@click.option("--labels", "labels_file", type=_FILE, help="A labels table to use instead.")
@click.option("--classes", help="Class names in order, as a,b,c. Default: those found, sorted.")
@click.option("--model", "kind", type=_KINDS, default="linear", show_default=True)
@click.option("--epochs", type=click.IntRange(1), help="Most passes over the data.")
@click.option("--trials", type=click.IntRange(1), help="Search for settings, so many times.")
@click.option("--validation", type=float, default=0.2, show_default=True, help="Share held out.")
@click.option("--seed", type=int, default=0, show_default=True)
@click.option("--threads", type=click.IntRange(1), default=1, show_default=True)
@click.option("--name", help="Name of the model. Default: that of the bundle's folder.")
@click.option("--checkpoint", type=_FOLDER, help="Keep state here, and go on from it.")
@json_option
def command(
    data: Path,
    output: Path,
    text: str,
    label: str,
    labels_file: Path | None,
    classes: str | None,
    kind: str,
    epochs: int | None,
    trials: int | None,
    validation: float,
    seed: int,
    threads: int,
    name: str | None,
    checkpoint: Path | None,
    as_json: bool,
) -> None:
    """Train a text classifier on the table DATA and write a bundle that can be served.

    Labels come from a column of DATA, or from a labels table (soft labels and weights included)
    joined by row id. A part of the rows is held out to choose the best epoch, and with --trials the
    best settings. The same command gives the same model, bit for bit.

    The bundle also tells a server what the data look like, so that it can warn when requests drift:
    figures of the column, no text of it.

    \b
    Examples:
      gristmill train spam.csv -o out/spam
      gristmill train spam.csv -o out/spam --model cnn --trials 16
      gristmill train messages.parquet -o out/spam --labels labels.parquet \\
        --classes ham,spam

    \b
    Exit codes:
      0  the bundle is written
      2  wrong call
      5  the data cannot be read
      9  training cannot start, or cannot go on
    """
    from gristmill.core.fingerprint import fingerprint
    from gristmill.data.formats import read_table, require_rows
    from gristmill.data.table import as_table
    from gristmill.store.bundle import check_target
    from gristmill.train import Examples, text_featurizer

    check_target(output)
    with about(data):
        frame = as_table(require_rows(read_table(data), str(data)))
    featurizer = text_featurizer(kind, text)
    with about(labels_file or data):
        labels = label if labels_file is None else as_table(labels_file)
        names = classes.split(",") if classes else _classes(frame, labels)
        examples = Examples.from_table(frame, _by_name(frame, labels), featurizer, names)
        _check_labelled(examples, frame.height, labels)
    how: dict[str, Any] = {"validation": validation, "seed": seed, "threads": threads}
    if epochs is not None:
        how["epochs"] = epochs
    with about(data):
        if trials is None:
            study, fitted = None, _fit(kind, featurizer, examples, names, checkpoint, how)
        else:
            study = _search(kind, featurizer, examples, names, trials, checkpoint, how)
            fitted = study.best
    lineage = {"data": fingerprint(frame), "examples": fingerprint(examples), "command": "train"}
    with about(data):
        files = _profile(frame, featurizer, examples, fitted, (validation, seed))
    bundle = fitted.bundle(
        output, name=name or output.name, featurizer=featurizer, lineage=lineage, extra_files=files
    )
    payload = _payload(fitted, study) | {"bundle": str(output), "fingerprint": bundle.fingerprint}
    emit(payload, as_json, lambda: _show(fitted, study, output))


def _profile(
    frame: pl.DataFrame,
    featurizer: HashedNgrams,
    examples: Examples,
    fitted: Fitted,
    held_out: tuple[float, int],
) -> dict[str, bytes]:
    """Return what the bundle keeps of the data: the columns read, and answers to rows held out."""
    import polars as pl

    from gristmill.data.table import ROW_ID
    from gristmill.pipeline import answers_of, training_profile

    learned = pl.Series(examples.row_ids.tolist(), dtype=frame.schema[ROW_ID])
    rows = frame.filter(pl.col(ROW_ID).is_in(learned.implode()))
    probs = fitted.predict_probs(examples.hold_out(*held_out)[1])
    return training_profile(rows, featurizer, answers=answers_of(probs, fitted.classes))


def _check_labelled(examples: Examples, rows: int, labels: str | pl.DataFrame) -> None:
    from gristmill.core.errors import TrainError

    if not len(examples):
        remedy = (
            f"fill in the column {labels!r}, or name another with --label"
            if isinstance(labels, str)
            else "check that its row ids are those of the data, and that it knows some labels"
        )
        raise TrainError(f"none of the {rows} rows has a label", fix=remedy)


def _classes(frame: pl.DataFrame, labels: str | pl.DataFrame) -> list[str]:
    """Return the class names found in a label column, or numbers for a table of soft labels."""
    import polars as pl

    from gristmill.core.errors import TrainError

    if isinstance(labels, str):
        if labels not in frame.columns:
            columns = ", ".join(frame.columns)
            raise TrainError(f"no label column {labels!r}", fix=f"columns are: {columns}")
        return frame[labels].drop_nulls().unique().sort().cast(pl.String).to_list()
    if "probs" in labels.columns and labels.height:
        first = labels["probs"].drop_nulls().to_list()
        return [str(number) for number in range(len(first[0]) if first else 0)]
    return _classes(labels, "label")


def _by_name(frame: pl.DataFrame, labels: str | pl.DataFrame) -> pl.Series | pl.DataFrame:
    """Return a label column as names: a number in it names a class, it is no position."""
    import polars as pl

    return frame[labels].cast(pl.String) if isinstance(labels, str) else labels


def _fit(
    kind: str,
    featurizer: HashedNgrams,
    examples: Examples,
    classes: list[str],
    checkpoint: Path | None,
    how: dict[str, Any],
) -> Fitted:
    from gristmill.train import ModelSpec, fit, text_settings

    spec = ModelSpec.for_text(kind, featurizer, classes)
    settings = text_settings(kind) | {"patience": _PATIENCE, "checkpoint": checkpoint} | how
    return fit(spec, examples, classes=classes, **settings)


def _search(
    kind: str,
    featurizer: HashedNgrams,
    examples: Examples,
    classes: list[str],
    trials: int,
    storage: Path | None,
    how: dict[str, Any],
) -> Study:
    from gristmill.train import ModelSpec, search, text_settings, text_space

    def build_model(**params: Any) -> ModelSpec:
        return ModelSpec.for_text(kind, featurizer, classes, **params)

    space = text_space(kind)
    fixed = {k: v for k, v in text_settings(kind).items() if k not in space.dimensions}
    settings = fixed | {"patience": _PATIENCE, "storage": storage, "classes": classes} | how
    return search(build_model, space, examples, trials=trials, **settings).run()


def _payload(fitted: Fitted, study: Study | None) -> dict[str, object]:
    payload = fitted.describe() | {"history": list(fitted.history)}
    if study is not None:
        payload |= {"trials": study.trials.to_dicts(), "best_params": study.best_params}
    return payload


def _show(fitted: Fitted, study: Study | None, output: Path) -> None:
    if study is not None:
        rows = study.trials.drop([] if any(study.trials["reason"]) else ["reason"])
        table("Trials", rows.columns, [[_short(cell) for cell in row] for row in rows.rows()])
    columns = ["epoch", "train loss", "validation loss", fitted.settings.metric, ""]
    table("Epochs", columns, [_epoch_row(fitted, number) for number in _shown(fitted)])
    figures = [(name, fitted.metrics[name]) for name in _METRICS if name in fitted.metrics]
    table(f"On {fitted.validation_rows:,} validation rows", ["figure", "value"], figures)
    say(f"learned from {fitted.rows:,} rows; bundle written to {output}")
    say(f"next: gristmill serve {output}")


def _short(cell: object) -> object:
    return f"{cell:.3g}" if isinstance(cell, float) else cell


def _epoch_row(fitted: Fitted, number: int) -> list[object]:
    record = fitted.history[number - 1]
    mark = "best" if number == fitted.best_epoch else ""
    return [number, record.train_loss, record.validation_loss, record.metric, mark]


def _shown(fitted: Fitted) -> list[int]:
    """Return at most a dozen epochs, the last and the best among them."""
    last = len(fitted.history)
    every = max(1, last // 10)
    return sorted({*range(1, last + 1, every), fitted.best_epoch, last})
