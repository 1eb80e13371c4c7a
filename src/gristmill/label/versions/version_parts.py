"""A version of labels written part by part: the folder that `LabelVersion.save` writes."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl

from gristmill.core.progress import task
from gristmill.data.partition import PARTITION_ROWS
from gristmill.engine.current import chosen_engine
from gristmill.engine.inline import Inline
from gristmill.label.functions.failures import MESSAGES_KEPT
from gristmill.label.functions.row_source import RowsLike, open_source
from gristmill.label.versions.content import content_hashes
from gristmill.label.versions.version import (
    CONTENT_FILE,
    SOURCES_FILE,
    Made,
    save_made,
    source_table,
)

if TYPE_CHECKING:
    from gristmill.engine.protocol import Engine
    from gristmill.label.analysis.summary import Analysis
    from gristmill.label.functions.row_parts import RowPart
    from gristmill.label.labels import Labels
    from gristmill.label.models.label_parts import LabelParts
    from gristmill.label.vote_parts import VoteParts


def write_version(
    folder: Path,
    table: RowsLike,
    votes: VoteParts,
    labels: LabelParts,
    first: Labels,
    analysis: Analysis,
    *,
    estimated: Mapping[str, float] | None = None,
    made: Made | None = None,
    engine: Engine | str | None = None,
) -> None:
    """Write labels in parts, and all that they were made from, into an empty folder.

    Of all rows no more than a part is in memory. `LabelVersion.load` reads the folder, as a whole.

    Args:
        folder: where to write.
        table: what was labelled; its rows are read once more, for their content hashes.
        votes, labels: on its rows, in parts.
        first: the labels of the first part: they tell how the others were made.
        analysis: of the votes; with gold if there is any.
        estimated: source -> accuracy, as the model sees it.
        made: how the version came about.
        engine: where rows are read: an engine, or its name; default is the current engine if there
            is one, else this process.

    Raises:
        DataError: the table cannot be read.
        StepError: workers died over a part of it.
    """
    pl.scan_parquet(labels.files).sink_parquet(folder / "labels.parquet")
    first.save_header(folder)
    _write_votes(folder / "votes", votes)
    with chosen_engine(engine) as opened:
        _write_content(folder, table, opened)
    source_table(analysis, votes.fingerprints, estimated or {}).write_parquet(folder / SOURCES_FILE)
    save_made(made or Made(), folder)


def _write_votes(folder: Path, votes: VoteParts) -> None:
    """Write the folder that `Votes.save` writes."""
    folder.mkdir()
    pl.scan_parquet(_each(votes, "votes.parquet")).sink_parquet(folder / "votes.parquet")
    drafts = folder / "silent"
    drafts.mkdir()
    files, start, seen = list[Path](), 0, Counter[int]()
    for rows, file in zip(votes.rows, _each(votes, "silent.parquet"), strict=True):
        silent = pl.read_parquet(file)
        before = pl.col("source").replace_strict(dict(seen), default=0, return_dtype=pl.Int64)
        is_kept = before + pl.int_range(pl.len()).over("source") < MESSAGES_KEPT
        files.append(drafts / f"{len(files):05d}.parquet")
        silent.with_columns(
            pl.col("row") + start, pl.when(is_kept).then(pl.col("message"))
        ).write_parquet(files[-1])
        start += rows
        seen.update(dict(silent["source"].value_counts().iter_rows()))
    pl.scan_parquet(files).sink_parquet(folder / "silent.parquet")
    shutil.rmtree(drafts)
    votes[0].read().save_header(folder)


def _each(votes: VoteParts, name: str) -> list[Path]:
    return [part.folder / name for part in votes]


def _write_content(folder: Path, table: RowsLike, engine: Engine | None) -> None:
    source = open_source(table, PARTITION_ROWS, engine)
    drafts = folder / "content"
    drafts.mkdir()
    files = list[Path]()
    with task("hash rows", source.rows) as work:
        # Those of a frame are here already.
        where = Inline() if engine is None or source.held else engine
        for hashes in where.map(_content, source.parts()):
            files.append(drafts / f"{len(files):05d}.parquet")
            hashes.write_parquet(files[-1])
            work.advance(hashes.height)
    pl.scan_parquet(files).sink_parquet(folder / CONTENT_FILE)
    shutil.rmtree(drafts)


def _content(part: RowPart) -> pl.DataFrame:
    return content_hashes(part.read())
