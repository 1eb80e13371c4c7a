"""What was answered in production."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import polars as pl

from gristmill.data import ROW_ID
from gristmill.serve.watch.kept_predictions import PREDICTIONS, kept_predictions

_COLUMNS = {ROW_ID: pl.Int64, "version": pl.String, "said": pl.Float64}


def answers_given(served: Path) -> pl.DataFrame:
    """Return `row_id`, the version that answered, and its probability of "yes".

    Args:
        served: what the server kept of one model; need not be there yet. Its users' own ids are row
            ids; of a row that was asked twice it is the last answer.
    """
    kept = kept_predictions(served) if (served / PREDICTIONS).is_dir() else ()
    rows = [
        (int(each.key), each.version, cast("dict[str, float]", each.answer["probs"])["yes"])
        for each in kept
    ]
    return pl.DataFrame(rows, schema=_COLUMNS, orient="row").unique(ROW_ID, keep="last")
