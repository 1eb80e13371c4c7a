"""What `gristmill label` writes: a flat table, or a folder with all that the labels came from."""

from __future__ import annotations

import datetime as dt
import gzip
import secrets
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, cast

from gristmill._version import __version__
from gristmill.core.errors import DataError, UsageError

if TYPE_CHECKING:
    import polars as pl

    from gristmill.cli.label_inputs import Inputs
    from gristmill.engine.protocol import Engine
    from gristmill.label.analysis.summary import Analysis
    from gristmill.label.labels import Labels
    from gristmill.label.models.label_model import LabelModel
    from gristmill.label.models.label_parts import LabelParts
    from gristmill.label.versions.version import Made
    from gristmill.label.vote_parts import VoteParts
    from gristmill.label.votes import Votes

_FLAT = ("row_id", "label", "label_name", "probs", "weight", "source")


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
    from gristmill.core.atomic import atomic_folder
    from gristmill.data.formats import format_of, write_table
    from gristmill.label.versions.version import LabelVersion

    if not _is_folder(output):
        flat = named(labels)
        text = format_of(output) in ("csv", "tsv")
        write_table(_spread(flat, labels.classes) if text else flat, output)
        return
    made = _made(inputs.functions, inputs.data, gold)
    version = LabelVersion.of(
        labels, inputs.frame, gold=inputs.gold, estimated=_estimated(estimator), made=made
    )
    with atomic_folder(output) as draft:
        version.save(draft)
        _save_model(estimator, draft)


def write_label_parts(
    output: Path,
    functions: Path,
    data: Path | str,
    gold: Path | None,
    votes: VoteParts,
    labels: LabelParts,
    first: Labels,
    analysis: Analysis,
    estimator: Any,
    *,
    engine: Engine | None,
) -> None:
    """Write labels in parts as `write_labels` does, a part at a time."""
    import polars as pl

    from gristmill.core.atomic import atomic_file, atomic_folder
    from gristmill.data.formats import format_of
    from gristmill.label.versions.version_parts import write_version

    if _is_folder(output):
        with atomic_folder(output) as draft:
            write_version(
                draft, str(data), votes, labels, first, analysis, engine=engine,
                estimated=_estimated(estimator), made=_made(functions, data, gold),
            )  # fmt: skip
            _save_model(estimator, draft)
        return
    kind = format_of(output)
    with atomic_file(output.absolute()) as draft:
        if kind == "parquet" or kind == "arrow":
            lazy = pl.scan_parquet(labels.files).with_columns(_name(votes.classes))
            lazy = lazy.select(_FLAT)
            if kind == "parquet":
                lazy.sink_parquet(draft)
            else:
                lazy.sink_ipc(draft, compression="zstd")
            return
        with _text_file(draft, packed=output.suffix.lower() == ".gz") as file:
            for number, part in enumerate(labels.files):
                flat = pl.read_parquet(part).with_columns(_name(votes.classes)).select(_FLAT)
                if kind == "jsonl":
                    flat.write_ndjson(file)
                    continue
                separator = "\t" if kind == "tsv" else ","
                spread = _spread(flat, votes.classes)
                spread.write_csv(file, include_header=number == 0, separator=separator)


@contextmanager
def _text_file(path: Path, *, packed: bool) -> Iterator[BinaryIO]:
    with path.open("wb") as file:
        if not packed:
            yield file
            return
        with gzip.GzipFile(filename="", mode="wb", fileobj=file, mtime=0) as pack:
            yield cast("BinaryIO", pack)


def _made(functions: Path, data: Path | str, gold: Path | None) -> Made:
    from gristmill.label.versions.version import Made

    now = dt.datetime.now(dt.UTC)
    return Made(
        run=now.strftime("%Y%m%d-%H%M%S-") + secrets.token_hex(2),
        time=now.isoformat(timespec="seconds"),
        functions=str(functions),
        data=str(data),
        gold=None if gold is None else str(gold),
        by=f"gristmill {__version__}",
    )


def _save_model(estimator: Any, folder: Path) -> None:
    from gristmill.cli.label_inputs import MODEL

    if hasattr(estimator, "save"):
        (folder / MODEL).mkdir()
        estimator.save(folder / MODEL)


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
    return labels.table.with_columns(_name(labels.classes)).select(_FLAT)


def _name(classes: Sequence[str]) -> pl.Expr:
    import polars as pl

    names = dict(enumerate(classes))
    name = pl.col("label").replace_strict(names, default=None, return_dtype=pl.String)
    return name.alias("label_name")


def _spread(frame: pl.DataFrame, classes: Sequence[str]) -> pl.DataFrame:
    """Return the table with a column for each probability, which CSV can hold."""
    import polars as pl

    columns = [
        pl.col("probs").arr.get(code).alias(f"prob_{name}") for code, name in enumerate(classes)
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
