"""What came back from production: rows that were served, with their truth."""

from __future__ import annotations

from pathlib import Path

import polars as pl

from gristmill.data import ROW_ID
from gristmill.serve.watch.kept_predictions import PREDICTIONS, kept_predictions


def rows_with_truth(folder: Path, history: pl.DataFrame) -> pl.DataFrame:
    """Return rows whose truth is known, in the order of prediction.

    Args:
        folder: what the server kept of one model; need not be there yet.
        history: rows from before, whose columns and ids these continue.

    Returns:
        The columns of `history`, `version` (which one answered) and `said` (its probability of
        "yes"). Users count their rows from 0, and so the ids go on behind those of `history`.
    """
    kept = kept_predictions(folder) if (folder / PREDICTIONS).is_dir() else iter(())
    rows = [
        {
            ROW_ID: history.height + int(each.key),
            **each.inputs,
            "truth": each.truth,
            "version": each.version,
            "said": each.answer["probs"]["yes"],
        }
        for each in kept
        if each.truth is not None
    ]
    schema = {**history.schema, "version": pl.String, "said": pl.Float64}
    loose = {name: pl.Float64 if kind.is_numeric() else kind for name, kind in schema.items()}
    return pl.DataFrame(rows, schema=loose).cast(dict(schema))
