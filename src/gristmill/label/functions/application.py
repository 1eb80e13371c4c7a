"""Apply labelling functions to a table."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gristmill.core.atomic import atomic_folder
from gristmill.core.errors import LabelError
from gristmill.data.partition import PARTITION_ROWS
from gristmill.engine.current import chosen_engine
from gristmill.label.codes import VoteCodes, check_classes
from gristmill.label.functions.function import POLICIES, LabelingFunction, OnError
from gristmill.label.functions.gathering import GatheredVotes
from gristmill.label.functions.partitions import Application
from gristmill.label.functions.row_source import RowsLike, open_source
from gristmill.label.functions.vote_cache import VoteCache
from gristmill.label.functions.written_votes import WrittenVotes
from gristmill.label.vote_parts import VoteParts, is_replaceable
from gristmill.label.votes import Votes, check_names
from gristmill.store.project import current_project

if TYPE_CHECKING:
    from gristmill.engine.protocol import Engine


def apply(
    functions: Iterable[LabelingFunction],
    table: RowsLike,
    *,
    classes: Sequence[str] | int,
    on_error: OnError | None = None,
    engine: Engine | str | None = None,
    cache: VoteCache | None = None,
    partition_rows: int = PARTITION_ROWS,
) -> Votes:
    """Ask every labelling function about every row.

    Expressions run together in one lazy query per partition, functions of a batch once per
    partition, functions of a row one row at a time; all in the engine's workers if there is one,
    which read their partitions of files themselves: votes alone come back. Rows have the order and
    the ids of the input. A frame in memory is not copied; a file is read partition by partition, so
    that of all of it only the votes (a byte each) and the row ids are in memory; `apply_in_parts`
    keeps these on disk, too. An expression that looks at other rows is computed here, whatever the
    engine, on the whole of the columns that it reads.

    With a cache an application that was interrupted, or killed, goes on at the first partition that
    was not finished. Where a partition cannot be read, or its worker dies again and again, the
    others are finished first, and the error names the partition.

    Args:
        functions: with unique names.
        table: a data frame of any kind, or the path of a file; gets row ids 0..n-1 if it has none.
            Several files, and URLs (`s3://...`), are read as `open_stream` reads them.
        classes: class names in the order of their index, or how many there are; two or more.
        on_error: policy for rows on which a function raises: "raise" or "abstain"; default is each
            function's own.
        engine: an engine, or its name ("local" for processes on this machine, "ray", "spark");
            default is the current engine if there is one (`using_engine`), else this process. An
            in-memory table is not sent to it for the sake of expressions alone.
        cache: where vote columns are kept by the fingerprints of function and partition: only new
            or changed functions and new partitions are computed. A column with failures is not
            kept. Inside a pipeline the default is the project's own cache, else none.
        partition_rows: rows per partition.

    Returns:
        Votes, int8[n, m]; `votes.notes` says what was recomputed and why.

    Raises:
        LabelError: no functions, names not unique, fewer than two classes, a function raised and
            the policy is to stop, a vote is for no class, or a function cannot be sent to the
            engine's workers. The message names function and row.
        DataError: the table, or a partition of it, cannot be used.
        StepError: workers died over a partition; names it.
    """
    with chosen_engine(engine) as opened:
        job = prepared(functions, table, classes, on_error, opened, cache, partition_rows)
        row_ids = job.source.row_ids()
        votes = GatheredVotes(job.source.rows, len(job.functions), job.codes)
        job.run(opened, votes)
    classes = job.codes.classes
    return Votes(votes.matrix, row_ids, job.names, job.marks, classes, votes.silent(), job.notes)


def apply_in_parts(
    functions: Iterable[LabelingFunction],
    table: RowsLike,
    folder: Path | str,
    *,
    classes: Sequence[str] | int,
    on_error: OnError | None = None,
    engine: Engine | str | None = None,
    cache: VoteCache | None = None,
    partition_rows: int = PARTITION_ROWS,
) -> VoteParts:
    """Ask every labelling function about every row, and leave the votes on disk.

    As `apply`, for tables of which not even the votes fit into memory: those of a partition are
    written as they come. Of all rows nothing is kept; where the table has row ids of its own, eight
    bytes a row, and for an expression that looks at other rows the columns that it reads.

    Where a partition fails, or the process is killed, the votes on the others are kept beside the
    folder (`.<name>.votes`, unless there is a cache), and the same call asks about the rest alone.

    Args:
        functions, table, classes, on_error, engine, cache, partition_rows: as `apply`.
        folder: where the votes are to be; it appears whole or not at all, and takes the place of
            votes that were there.

    Returns:
        The votes of each partition, in order; what `LabelModel.fit` and `predict_in_parts` take.

    Raises:
        LabelError, DataError, StepError: as `apply`; the folder holds something else.
    """
    target = Path(folder).absolute()
    if target.exists() and not is_replaceable(target):
        raise LabelError(
            "expected a folder of votes in parts, or none, found something else",
            where=str(target),
            fix="name a folder that does not exist yet",
        )
    kept = target.with_name(f".{target.name}.votes")
    with chosen_engine(engine) as opened, atomic_folder(target) as draft:
        job = prepared(functions, table, classes, on_error, opened, cache, partition_rows)
        if job.cache is None:
            job = replace(job, cache=VoteCache(kept), resumes=True)
        votes = WrittenVotes(draft, job)
        job.run(opened, votes)
        votes.finish()
    shutil.rmtree(kept, ignore_errors=True)
    return replace(VoteParts.load(target), notes=job.notes)


def prepared(
    functions: Iterable[LabelingFunction],
    table: RowsLike,
    classes: Sequence[str] | int,
    on_error: OnError | None,
    engine: Engine | None,
    cache: VoteCache | None,
    partition_rows: int,
) -> Application:
    """Check the arguments of `apply`, and open the table.

    Raises:
        LabelError, DataError: as `apply`.
    """
    if isinstance(functions, LabelingFunction):
        raise LabelError(
            f"expected a list of labelling functions, found {functions.name!r} alone",
            fix="apply([function], ...)",
        )
    if cache is not None and not isinstance(cache, VoteCache):
        raise LabelError(
            f"expected a VoteCache, found {type(cache).__name__} {cache!r}",
            fix="pass VoteCache(folder)",
        )
    chosen = tuple(functions)
    _check(chosen, on_error, partition_rows)
    codes = VoteCodes(check_classes(classes))
    return Application(
        functions=chosen,
        policies=tuple(on_error or function.on_error for function in chosen),
        codes=codes,
        source=open_source(table, partition_rows, engine),
        cache=cache or project_cache(),
    )


def project_cache() -> VoteCache | None:
    """Return the vote cache of the project whose pipeline is running, None outside of one."""
    project = current_project()
    if project is None or project.read_only:
        return None
    return VoteCache(project.cache_folder("votes"))


def _check(functions: Sequence[Any], on_error: OnError | None, partition_rows: int) -> None:
    if not functions:
        raise LabelError("no labelling functions", fix="decorate some with @labeling_function")
    for each in functions:
        if not isinstance(each, LabelingFunction):
            raise LabelError(
                f"expected labelling functions, found {type(each).__name__} {each!r}",
                fix="decorate it with @labeling_function",
            )
    check_names([function.name for function in functions])
    if on_error is not None and on_error not in POLICIES:
        raise LabelError(f"expected on_error 'raise' or 'abstain', found {on_error!r}")
    if partition_rows < 1:
        raise LabelError(f"expected at least 1 row per partition, found {partition_rows}")
