"""How the candidates of this example are trained, and how one becomes a bundle."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from gristmill import train
from gristmill.pipeline import answers_of, training_profile, workdir

if TYPE_CHECKING:
    import polars as pl

    from gristmill.store import Bundle
    from gristmill.validate import Schema

VALIDATION = 0.2
PATIENCE = 4


def fit_model(
    kind: str,
    rows: pl.DataFrame,
    labels: pl.DataFrame | str,
    classes: Sequence[str],
    seed: int,
    epochs: int | None = None,
) -> train.Fitted:
    """Train one model with the settings that suit its kind."""
    featurizer = train.text_featurizer(kind)
    examples = train.Examples.from_table(rows, labels, featurizer, classes)
    settings = train.text_settings(kind)
    if epochs is not None:
        settings["epochs"] = epochs
    spec = train.ModelSpec.for_text(kind, featurizer, classes)
    return train.fit(
        spec, examples, classes=classes, validation=VALIDATION, patience=PATIENCE, metric="loss",
        seed=seed,
        checkpoint=workdir() / examples_name(kind, examples), **settings,
    )  # fmt: skip


def search_model(
    kind: str,
    rows: pl.DataFrame,
    labels: pl.DataFrame | str,
    classes: Sequence[str],
    trials: int,
    seed: int,
) -> train.Fitted:
    """Search settings and sizes for a kind of model; return the best of the trials."""
    featurizer = train.text_featurizer(kind)
    examples = train.Examples.from_table(rows, labels, featurizer, classes)
    settings = train.text_settings(kind)
    space = train.text_space(kind)

    def build(**params: object) -> train.ModelSpec:
        return train.ModelSpec.for_text(kind, featurizer, classes, **params)

    study = train.search(
        build, space, examples, validation=VALIDATION, trials=trials, epochs=settings["epochs"],
        metric="loss", seed=seed, patience=PATIENCE, classes=classes, storage=workdir() / "search",
        batch_size=settings["batch_size"],
    )  # fmt: skip
    return study.run().best


def examples_name(kind: str, examples: train.Examples) -> str:
    """Name the checkpoint folder of one training, where a step trains several."""
    return f"{kind}-{len(examples)}-{float(examples.weights.sum()):.0f}"


def write_bundle(
    fitted: train.Fitted,
    kind: str,
    folder: Path,
    *,
    name: str,
    schema: Schema,
    metrics: dict[str, float],
    lineage: dict[str, str],
    learned_from: pl.DataFrame,
    unseen: pl.DataFrame,
) -> Bundle:
    """Write the bundle of a trained model, with its figures on the test part.

    It also says what the training messages look like, and what the model answers to unseen ones, so
    that a server can tell when requests are of another kind.
    """
    featurizer = train.text_featurizer(kind)
    probs = fitted.predict_probs(featurizer.apply(unseen))
    profile = training_profile(
        learned_from, featurizer, answers=answers_of(probs, fitted.classes), schema=schema
    )
    return train.bundle_model(
        fitted.module,
        folder,
        name=name,
        classes=list(fitted.classes),
        featurizer=featurizer,
        metrics=metrics,
        lineage=lineage,
        extra_files=profile,
    )
