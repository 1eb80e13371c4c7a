"""Versions of labels by name: a folder, a table, or a result in the project.

labels-2             a folder that `gristmill label -o labels-2` wrote
labels.parquet       a flat table with row_id and label; it holds no votes
labels               the newest result of the project's step `labels`
labels~1             the one before it; ~2, ~3 and so on
8d1c22               an artifact, by the first digits of its digest
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias, Union

from gristmill.core.errors import LabelError, StoreError, UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    import polars as pl
    from numpy.typing import NDArray

    from gristmill.label.labels import Labels
    from gristmill.label.versions.version import LabelVersion
    from gristmill.store.runs import RunLog

Version: TypeAlias = Union["Labels", "LabelVersion"]

FLAT = "flat table"
"""The method of labels that were read from a flat table, which holds no votes."""
_EARLIER = re.compile(r"(.+)~(\d+)")


def load_pair(before: str, after: str | None) -> tuple[Version, Version, tuple[str, str]]:
    """Load two versions; a step's name alone means its last two results.

    Returns:
        Both, and what they are called.

    Raises:
        UsageError: nothing is called so, or there is no earlier result.
        LabelError, DataError, StoreError: what is there holds no labels.
    """
    import polars as pl

    from gristmill.label.versions.version import labels_of

    if after is None:
        if Path(before).exists():
            raise UsageError(
                f"expected two versions, found one: {before}",
                fix=f"gristmill label diff {before} OTHER",
            )
        before, after = f"{before}~1", before
    names = (before, after)
    found = [
        _from_path(Path(name)) if Path(name).exists() else _from_project(name) for name in names
    ]
    classes = [labels_of(each).classes for each in found if not isinstance(each, pl.DataFrame)]
    first, second = (
        labels_of_table(each, classes[0] if classes else None, name)
        if isinstance(each, pl.DataFrame)
        else each
        for name, each in zip(names, found, strict=True)
    )
    return first, second, names


def _from_path(path: Path) -> Version | pl.DataFrame:
    """Load the labels in a folder, or the flat table in a file."""
    from gristmill.cli.label_inputs import stored_labels
    from gristmill.data.formats import read_table

    stored = stored_labels(path)
    return read_table(path) if stored is None else stored


def labels_of_table(frame: pl.DataFrame, classes: tuple[str, ...] | None, where: str) -> Labels:
    """Return a flat table as labels without votes.

    Raises:
        LabelError: it lacks `row_id` or `label`, or has labels that are no classes.
    """
    import numpy as np
    import polars as pl

    from gristmill.cli.about import about
    from gristmill.core.fingerprint import fingerprint
    from gristmill.data.table import with_row_id
    from gristmill.label.codes import VoteCodes
    from gristmill.label.labels import Labels
    from gristmill.label.votes import Votes

    if not {"row_id", "label"} <= set(frame.columns):
        raise LabelError(
            f"expected labels with columns 'row_id' and 'label', found {frame.columns}",
            where=where,
            fix="name a folder or a table that `gristmill label` wrote",
        )
    with about(Path(where)):
        frame = with_row_id(frame)
        names = classes or _classes_in(frame)
        codes = VoteCodes(names).encode_all(frame["label"].to_list()).astype(np.int64)
        none = Votes.from_matrix(
            np.zeros((frame.height, 1), np.int8) - 1, classes=names, row_ids=frame["row_id"]
        )
    table = pl.DataFrame(
        {
            "row_id": frame["row_id"],
            "label": codes,
            "probs": _probs(frame, names, codes),
            "weight": frame["weight"] if "weight" in frame.columns else np.ones(frame.height),
            "source": frame["source"] if "source" in frame.columns else ["table"] * frame.height,
        }
    )
    return Labels(table, none, FLAT, fingerprint(frame), {}, None)


def _probs(frame: pl.DataFrame, names: tuple[str, ...], codes: NDArray[np.int64]) -> pl.Series:
    """Return the probabilities of a flat table; certainty where it has none that fit."""
    import numpy as np
    import polars as pl

    kind = pl.Array(pl.Float64, len(names))
    spread = [f"prob_{name}" for name in names]
    given = None
    if "probs" in frame.columns and frame["probs"].dtype in (pl.List, pl.Array):
        given = frame["probs"].cast(pl.List(pl.Float64)).to_list()
    elif set(spread) <= set(frame.columns) and all(frame[name].dtype.is_float() for name in spread):
        given = frame.select(spread).rows()
    if given is not None and all(_is_whole(row, len(names)) for row in given):
        return pl.Series(given, dtype=kind)
    certain = np.where(codes[:, None] < 0, 1 / len(names), np.eye(len(names))[codes])
    return pl.Series(certain, dtype=kind)


def _is_whole(row: Sequence[float | None] | None, classes: int) -> bool:
    return row is not None and len(row) == classes and None not in row


def _classes_in(frame: pl.DataFrame) -> tuple[str, ...]:
    """Return the class names of a flat table: those beside the codes, else the codes themselves."""
    import polars as pl

    if frame["label"].dtype == pl.String:
        names = frame["label"].drop_nulls().unique().sort().to_list()
        return tuple(names) if len(names) > 1 else (*names, "(other)")
    highest = max((int(code) for code in frame["label"].drop_nulls().to_list()), default=0)
    found = [str(code) for code in range(max(highest + 1, 2))]
    if "label_name" in frame.columns:
        pairs = frame.select("label", "label_name").drop_nulls().unique()
        for code, name in pairs.filter(pl.col("label") >= 0).iter_rows():
            found[code] = str(name)
    return tuple(found)


def _from_project(name: str) -> Version | pl.DataFrame:
    import polars as pl

    from gristmill.label.labels import Labels
    from gristmill.label.versions.version import LabelVersion
    from gristmill.store.project import find_project
    from gristmill.store.runs import RunLog

    try:
        project = find_project()
    except StoreError as error:
        raise UsageError(
            f"there is no file or folder {name!r}, and no project here that could know it",
            fix="name folders or tables that `gristmill label` wrote, or go to the project",
        ) from error
    with project:
        log = RunLog(project)
        value = log.load(_digest(log, name))
    if isinstance(value, Labels | LabelVersion | pl.DataFrame):
        return value
    raise LabelError(f"expected labels, found a {type(value).__name__}", where=name)


def _digest(log: RunLog, name: str) -> str:
    from gristmill.store.identity import resolve

    earlier = _EARLIER.fullmatch(name)
    if earlier is None:
        return resolve(log, name).artifact.digest
    step, back = earlier[1], int(earlier[2])
    results = _results(log, step)
    if back >= len(results):
        raise UsageError(
            f"step {step!r} has {len(results)} different results, expected at least {back + 1}",
            where=name,
            fix="list the runs with `gristmill runs`",
        )
    return results[back]


def _results(log: RunLog, step: str) -> list[str]:
    """Return the digests of a step's results, newest first; a result that stayed counts once."""
    from gristmill.store.runs import FINISHED
    from gristmill.store.tables import executions

    wanted = (executions.c.step == step) & executions.c.status.in_(FINISHED)
    found = [each.output for each in log.select(wanted) if each.output is not None]
    return [each for place, each in enumerate(found) if place == 0 or found[place - 1] != each]
