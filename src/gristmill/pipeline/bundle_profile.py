"""What a model was trained on, as files for its bundle: a schema, and statistics without rows.

`gristmill serve` compares with it what it serves (`gristmill.pipeline.served_statistics`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import polars as pl

from gristmill.core.errors import DataError
from gristmill.data.table import TableLike, as_table
from gristmill.pipeline.lean_statistics import shipped
from gristmill.pipeline.served_statistics import FILES, PROFILE, SCHEMA
from gristmill.pipeline.tensor_figures import with_tensor_figures
from gristmill.serve.watch.served_rows import PREDICTION
from gristmill.validate import Schema, profile

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from gristmill.data.features import Featurizer

MOST_COLUMNS = 256
_NAME = "training"


def training_profile(
    rows: TableLike,
    inputs: Featurizer | Sequence[str],
    *,
    answers: Mapping[str, Sequence[object]] | None = None,
    schema: Schema | None = None,
) -> dict[str, bytes]:
    """Return the files that tell a server what training data look like, by path in the bundle.

    They hold no row and no text of the data; `lean_statistics` says what they do hold. Of tensors
    (columns of arrays or lists of numbers, such as pictures) they hold what `tensor_figures` makes
    of them, which the schema knows nothing of; it is left out where there are only tensors. Equal
    rows give equal files. A column takes about 10 kB, 25 kB at most; of a model with more than 256
    columns the first 256 are profiled.

    Args:
        rows: what the model learned from.
        inputs: the featurizer, or the columns that the model reads; no other column is looked at.
        answers: the model's answers to rows that it did not learn from, by field; see
            `answers_of`. Answers to training rows are surer than any that follow. Where only the
            labels are known, `{"label": labels}`.
        schema: of the data; inferred from these columns if None.

    Raises:
        DataError: the table lacks a column, or has no rows.
    """
    table = as_table(rows)
    columns = list(inputs if isinstance(inputs, Sequence) else inputs.columns)
    _check(table, columns)
    # Requests spell true and false as the numbers that a model reads.
    asked = table.select(columns[:MOST_COLUMNS]).with_columns(pl.col(pl.Boolean).cast(pl.Int64))
    read = with_tensor_figures(asked)
    statistics = profile(read, name=_NAME, sample_rows=0, kinds=_kinds(read, schema))
    plain = {name: found for name, found in statistics.features.items() if name in asked.columns}
    if schema is None and plain:
        schema = Schema.infer(replace(statistics, features=plain))
    files = {} if schema is None else {SCHEMA: schema.text.encode()}
    if answers:
        named = {PREDICTION + name: list(values) for name, values in answers.items()}
        given = pl.DataFrame(named)
        of_answers = profile(given, name=_NAME, sample_rows=0, kinds=_kinds(given, None))
        # Of other rows, and not as many: each feature knows how many there were.
        features = statistics.features | of_answers.features
        statistics = replace(statistics, features=features)
    with TemporaryDirectory(prefix="gristmill-") as folder:
        shipped(statistics).save(Path(folder))
        files |= {f"{PROFILE}/{name}": (Path(folder) / name).read_bytes() for name in FILES}
    return files


def answers_of(probs: NDArray[Any], classes: Sequence[str]) -> dict[str, list[object]]:
    """Return what a served classifier answers for probabilities float[n, classes].

    Returns:
        `label`, the likeliest class, and `prob`, its probability, for each row.
    """
    best = probs.argmax(axis=1).tolist()
    return {
        "label": [classes[at] for at in best],
        "prob": [float(row[at]) for row, at in zip(probs, best, strict=True)],
    }


def _check(table: pl.DataFrame, columns: Sequence[str]) -> None:
    missing = [name for name in columns if name not in table.columns]
    if missing:
        raise DataError(
            f"the model reads column {missing[0]!r}, which the table does not have",
            where="training profile",
            fix=f"columns are: {', '.join(table.columns)}",
        )
    if not table.height:
        raise DataError("expected rows that the model learned from, found none")


def _kinds(table: pl.DataFrame, schema: Schema | None) -> dict[str, str]:
    """Say what columns are: text stays text, even where all of it spells numbers."""
    kinds = {name: "string" for name, dtype in table.schema.items() if dtype == pl.String}
    if schema is None:
        return kinds
    known = {name: spec.type for name, spec in schema.features.items() if spec.type != "any"}
    return kinds | known
