"""What `gristmill label` writes: a flat table, or a folder with all that the labels came from."""

from __future__ import annotations

import datetime as dt
import secrets
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gristmill._version import __version__
from gristmill.core.errors import DataError, UsageError

if TYPE_CHECKING:
    import polars as pl

    from gristmill.cli.label_inputs import Inputs
    from gristmill.label.labels import Labels
    from gristmill.label.models.label_model import LabelModel
    from gristmill.label.votes import Votes


def check_output(output: Path) -> None:
    """Raise an error before the work where the labels could not be written there after it.

    Raises:
        UsageError: it is a folder with other things in it.
        DataError: the suffix says no format.
    """
    from gristmill.cli.label_inputs import STORED
    from gristmill.data.formats import format_of

    if not _is_folder(output):
        format_of(output)
    elif output.is_dir() and any(output.iterdir()) and not (output / STORED).is_file():
        raise UsageError(
            "this folder holds other things than labels",
            where=str(output),
            fix="name a new folder, or a file such as labels.parquet",
        )


def write_labels(
    inputs: Inputs, estimator: Any, labels: Labels, gold: Path | None, output: Path
) -> None:
    """Write labels as what the name asks for; a file or folder appears whole or not at all."""
    from gristmill.cli.label_inputs import MODEL
    from gristmill.core.atomic import atomic_folder
    from gristmill.data.formats import format_of, write_table
    from gristmill.label.versions.version import LabelVersion, Made

    if not _is_folder(output):
        flat = named(labels)
        write_table(_spread(flat, labels) if format_of(output) in ("csv", "tsv") else flat, output)
        return
    now = dt.datetime.now(dt.UTC)
    made = Made(
        run=now.strftime("%Y%m%d-%H%M%S-") + secrets.token_hex(2),
        time=now.isoformat(timespec="seconds"),
        functions=str(inputs.functions),
        data=str(inputs.data),
        gold=None if gold is None else str(gold),
        by=f"gristmill {__version__}",
    )
    version = LabelVersion.of(
        labels, inputs.frame, gold=inputs.gold, estimated=_estimated(estimator), made=made
    )
    with atomic_folder(output) as draft:
        version.save(draft)
        if hasattr(estimator, "save"):
            (draft / MODEL).mkdir()
            estimator.save(draft / MODEL)


def write_page(
    votes: Votes,
    frame: pl.DataFrame,
    page: Path,
    *,
    labels: Labels | None = None,
    gold: pl.DataFrame | None = None,
    model: LabelModel | None = None,
) -> None:
    """Write the page for those who label: functions, errors, what to write next.

    Raises:
        DataError: it cannot be written there.
    """
    from gristmill.web.labelling_page import label_page

    report = label_page(votes, frame, labels=labels, gold=gold, model=model)
    try:
        report.write(page)
    except OSError as error:
        raise DataError(
            f"the page cannot be written: {error.strerror or error}",
            where=str(page),
            fix="write it to a folder that can be written, on a disk with room",
        ) from error


def named(labels: Labels) -> pl.DataFrame:
    """Return the labels with the name of each beside its index."""
    import polars as pl

    names = dict(enumerate(labels.classes))
    name = pl.col("label").replace_strict(names, default=None, return_dtype=pl.String)
    frame = labels.table.with_columns(name.alias("label_name"))
    return frame.select("row_id", "label", "label_name", "probs", "weight", "source")


def _spread(frame: pl.DataFrame, labels: Labels) -> pl.DataFrame:
    """Return the table with a column for each probability, which CSV can hold."""
    import polars as pl

    columns = [
        pl.col("probs").arr.get(code).alias(f"prob_{name}")
        for code, name in enumerate(labels.classes)
    ]
    return frame.select("row_id", "label", "label_name", *columns, "weight", "source")


def _is_folder(output: Path) -> bool:
    return output.is_dir() or not output.suffix


def _estimated(estimator: Any) -> dict[str, float]:
    """Return the accuracy that a model believes each source to have, where it says so."""
    learned = getattr(estimator, "sources", None)
    if learned is None or "accuracy" not in learned.columns:
        return {}
    return dict(zip(learned["source"].to_list(), learned["accuracy"].to_list(), strict=True))
