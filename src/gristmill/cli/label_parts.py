"""`gristmill label` part by part: on engines, and on tables larger than memory."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from gristmill.cli.about import about
from gristmill.cli.label_inputs import (
    classes_of,
    functions_in,
    loaded_functions,
    of_ids,
    read_gold,
    vote_cache,
)
from gristmill.cli.label_labelled import Labelled, described
from gristmill.cli.label_output import write_label_parts
from gristmill.core.errors import DataError
from gristmill.data.partition import PARTITION_ROWS

if TYPE_CHECKING:
    import polars as pl

    from gristmill.engine.protocol import Engine
    from gristmill.label.gold import Gold
    from gristmill.label.labels import Labels
    from gristmill.label.models.label_model import LabelModel
    from gristmill.label.models.label_parts import LabelParts
    from gristmill.label.models.majority import MajorityVote
    from gristmill.label.vote_parts import VoteParts

_UNPACKED = 8
"""How many times its size on the disk a table may take in memory, as Parquet with its votes and
labels does."""


def is_for_parts(data: Path | str, engine: str | None) -> bool:
    """Tell whether rows are best labelled part by part."""
    from gristmill.core.memory import free_memory

    if engine is not None or isinstance(data, str):
        return True
    if not data.exists():
        return any(each in str(data) for each in "*?[")
    free = free_memory()
    return free is not None and data.stat().st_size * _UNPACKED > free


def label_in_parts(
    functions: Path,
    data: Path | str,
    output: Path,
    *,
    classes: str | None,
    gold: Path | None,
    model: str,
    on_error: Literal["raise", "abstain"] | None,
    cache: Path | None,
    engine: str | None,
) -> Labelled:
    """Label a table of which no more than a part is in memory; the labels are those of the whole.

    Votes and labels of parts lie in a hidden folder beside the output until it is there.

    Raises:
        UsageError: there is no file of functions, or its code is wrong.
        DataError, LabelError: rows, functions or gold cannot be used; names the file.
        StepError: workers died over some of the rows.
    """
    from gristmill.data.stream import found_files
    from gristmill.engine.opening import open_engine
    from gristmill.label.analysis.summary import analyze_in_parts
    from gristmill.label.functions.application import apply_in_parts
    from gristmill.label.gold import read_gold_in_parts
    from gristmill.label.models.label_parts import predict_in_parts

    module = loaded_functions(functions)
    found, names = functions_in(module, functions), classes_of(classes, module, functions)
    found_files([data])  # an engine takes a while to open
    with ExitStack() as opened, _work_folder(output) as work:
        where = None
        if engine is not None:
            where = opened.enter_context(open_engine(engine, code=functions.resolve().parent))
        # Votes and labels in parts lie on this machine: others may not see them.
        near = where if where is not None and where.shares_files else "inline"
        with about(data):
            votes = apply_in_parts(
                found, str(data), work / "votes", on_error=on_error, classes=names,
                engine=where, cache=vote_cache(cache), partition_rows=PARTITION_ROWS,
            )  # fmt: skip
        if not sum(votes.rows):
            raise DataError("expected at least one row, found none", where=str(data),
                            fix="check what wrote it")  # fmt: skip
        known = None if gold is None else read_gold(gold, lambda ids: _judged(str(data), ids))
        with about(gold or data):
            told = read_gold_in_parts(known, votes)
        estimator = _fitted(model, votes, known, near)
        learned = None if model == "majority" else estimator
        analysis = analyze_in_parts(votes, known, learned, engine=near)
        labels = predict_in_parts(estimator, votes, work / "labels", gold=known, engine=near)
        first = estimator.predict(votes[0].read())
        write_label_parts(
            output, functions, data, gold, votes, labels, first, analysis, estimator, engine=where
        )
    facts = _facts(labels, first)
    disputes = None if gold is None else (told.gold, told.votes.row_ids)
    return Labelled(analysis, facts, described(estimator), disputes)


def _fitted(
    model: str, votes: VoteParts, gold: Gold | None, engine: Engine | str
) -> LabelModel | MajorityVote:
    from gristmill.label.models.label_model import LabelModel
    from gristmill.label.models.majority import MajorityVote

    if model == "majority":
        return MajorityVote(votes.classes)
    return LabelModel(votes.classes).fit(votes, gold, engine=engine)


def _facts(labels: LabelParts, first: Labels) -> dict[str, Any]:
    """Return what `Labels.describe` says of labels as a whole."""
    counted = dict(labels.labels)
    unlabelled = counted.pop("")
    return first.describe() | {
        "rows": labels.rows,
        "classes": counted,
        "unlabelled": unlabelled,
        "sources": {name: labels.sources.get(name, 0) for name in ("gold", "model", "none")},
        "mean_weight": labels.weight / max(labels.rows, 1),
    }


def _judged(data: str, ids: pl.Series) -> pl.DataFrame:
    """Return the rows of a table that have these ids, of which one part is in memory at a time."""
    import polars as pl

    from gristmill.label.functions.row_source import open_source

    parts = open_source(data, PARTITION_ROWS).parts()
    return pl.concat([of_ids(part.read(), ids) for part in parts])


@contextmanager
def _work_folder(output: Path) -> Iterator[Path]:
    """Give a folder beside the output. What stays there when the block raises is only what the same
    command goes on with.
    """
    work = output.absolute().with_name(f".{output.name}.work")
    work.mkdir(parents=True, exist_ok=True)
    try:
        yield work
    finally:
        for name in ("votes", "labels"):
            shutil.rmtree(work / name, ignore_errors=True)
        if not any(work.iterdir()):
            work.rmdir()
