"""What the `label` commands read: labelling functions, rows, gold, and stored labels."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from gristmill.core.errors import LabelError, StoreError
from gristmill.core.progress import current

if TYPE_CHECKING:
    from types import ModuleType

    import polars as pl

    from gristmill.label.functions.function import LabelingFunction
    from gristmill.label.functions.vote_cache import VoteCache
    from gristmill.label.labels import Labels
    from gristmill.label.models.label_model import LabelModel
    from gristmill.label.models.majority import MajorityVote
    from gristmill.label.versions.version import LabelVersion
    from gristmill.label.votes import Votes


STORED, MODEL = "labels.json", "model"
"""A file that every folder of labels has; the folder of the model that made them."""


@dataclass(frozen=True)
class Inputs:
    """Rows, what the labelling functions said of them, and what experts said.

    Attributes:
        functions, data: the files; of data perhaps the URL.
        frame: the rows, with `row_id`.
        votes: on these rows.
        gold: `row_id`, `label`, perhaps `annotator`; None without gold.
    """

    functions: Path
    data: Path | str
    frame: pl.DataFrame
    votes: Votes
    gold: pl.DataFrame | None


def read_inputs(
    functions: Path,
    data: Path | str,
    *,
    classes: str | None,
    gold: Path | None,
    on_error: Literal["raise", "abstain"] | None,
    cache: Path | None,
    engine: str | None,
) -> Inputs:
    """Read the files that a command names, and apply the functions to the rows.

    An engine's workers read the rows themselves; its machines are sent the folder of the functions.

    Raises:
        UsageError: there is no file of functions, or its code is wrong.
        DataError, LabelError: rows, functions or gold cannot be used; names the file.
    """
    from gristmill.cli.about import about
    from gristmill.data.formats import read_table, require_rows
    from gristmill.data.table import with_row_id
    from gristmill.engine.opening import open_engine
    from gristmill.label.functions.application import apply
    from gristmill.label.gold import gold_codes

    module = loaded_functions(functions)
    with about(data):
        frame = with_row_id(require_rows(read_table(data), str(data)))
    with ExitStack() as stack:
        opened = None
        if engine is not None:
            opened = stack.enter_context(open_engine(engine, code=functions.resolve().parent))
        votes = apply(
            functions_in(module, functions),
            frame if opened is None else data,
            classes=classes_of(classes, module, functions),
            on_error=on_error,
            engine=opened,
            cache=vote_cache(cache),
        )
    known = None if gold is None else read_gold(gold, partial(of_ids, frame))
    with about(gold or data):
        gold_codes(known, votes)
    return Inputs(functions, data, frame, votes, known)


def loaded_functions(functions: Path) -> ModuleType:
    """Import the file of labelling functions.

    Raises:
        UsageError: there is no such file, or its code is wrong.
    """
    from gristmill.pipeline.load import import_file

    if not functions.is_file():
        raise click.UsageError(f"there is no file {functions}")
    return import_file(functions.resolve())


def functions_in(module: ModuleType, file: Path) -> list[LabelingFunction]:
    """Return the labelling functions of a module, also those in its lists, each once.

    Raises:
        LabelError: there are none.
    """
    from gristmill.label.functions.function import LabelingFunction

    found: dict[int, LabelingFunction] = {}
    for value in vars(module).values():
        for each in value if isinstance(value, list | tuple) else (value,):
            if isinstance(each, LabelingFunction):
                found[id(each)] = each
    if not found:
        raise LabelError(
            "there are no labelling functions in this file",
            where=str(file),
            fix="decorate some with @labeling_function, or make some with keywords(...)",
        )
    return list(found.values())


def classes_of(given: str | None, module: ModuleType, file: Path) -> list[str]:
    """Return the class names: those given, else the module's CLASSES.

    Raises:
        LabelError: neither names them.
    """
    if given is not None:
        return [name.strip() for name in given.split(",") if name.strip()]
    named = getattr(module, "CLASSES", None)
    if not isinstance(named, list | tuple):
        raise LabelError(
            "the classes are not named",
            where=str(file),
            fix="say --classes ham,spam, or write CLASSES = ['ham', 'spam'] in the file",
        )
    return [str(name) for name in named]


def vote_cache(folder: Path | None) -> VoteCache | None:
    """Return the cache in a folder; by default the project's, where there is a project."""
    from gristmill.label.functions.vote_cache import VoteCache
    from gristmill.store.project import find_project

    if folder is not None:
        return VoteCache(folder)
    try:
        with find_project() as project:
            return None if project.read_only else VoteCache(project.cache_folder("votes"))
    except StoreError:
        return None


def of_ids(frame: pl.DataFrame, ids: pl.Series) -> pl.DataFrame:
    """Return the rows of a table that have these ids; none where they are of another kind."""
    if frame["row_id"].dtype != ids.dtype:
        return frame.head(0)
    return frame.filter(frame["row_id"].is_in(ids.implode()))


def read_gold(path: Path, judged: Callable[[pl.Series], pl.DataFrame] | None) -> pl.DataFrame:
    """Read gold from a table with `row_id` and `label`, or from answers of `label review`.

    Of answers, those whose row reads otherwise now than when it was judged are left out, and said.

    Args:
        path: the file.
        judged: returns the rows of these ids as they read now; None where nobody knows.

    Raises:
        DataError, LabelError: it cannot be read, or has no rows.
    """
    from gristmill.data.formats import read_table, require_rows
    from gristmill.label.review.answers import Answers, is_answers
    from gristmill.label.versions.content import content_hashes

    if not is_answers(path):
        return require_rows(read_table(path), str(path))
    answers = Answers.load(path)
    gold = answers.gold
    rows = None if judged is None else judged(gold["row_id"])
    if rows is None or not rows.height:
        return gold
    stale = answers.stale(content_hashes(rows))
    if stale.height:
        current().say(
            f"{path}: {stale.height} answers left out, since their rows read otherwise now "
            f"(first: row {stale['row_id'][0]!r})"
        )
    return gold.join(stale, on=["row_id", "annotator"], how="anti", maintain_order="left")


def fitted(inputs: Inputs, model: str) -> tuple[LabelModel | MajorityVote, Labels]:
    """Fit the model of this name, and predict."""
    from gristmill.cli.about import about
    from gristmill.label.models.label_model import LabelModel
    from gristmill.label.models.majority import MajorityVote

    if model == "majority":
        vote = MajorityVote(inputs.votes.classes)
        return vote, vote.predict(inputs.votes, inputs.gold)
    if not inputs.votes.covered.any():
        raise _no_votes(inputs)
    with about(inputs.data):
        estimator = LabelModel(inputs.votes.classes).fit(inputs.votes, gold=inputs.gold)
    return estimator, estimator.predict(inputs.votes)


def _no_votes(inputs: Inputs) -> LabelError:
    failed = {name: rows for name, rows in inputs.votes.failed().items() if rows}
    told = ", ".join(f"{name} ({rows:,})" for name, rows in failed.items())
    return LabelError(
        f"no labelling function votes on any of the {len(inputs.votes):,} rows of {inputs.data}"
        + (f"; rows on which functions failed: {told}" if failed else ""),
        where=str(inputs.functions),
        fix="leave --on-error abstain out to see why"
        if failed
        else "return a class where the rule holds, None elsewhere, and look at a row that should "
        "have a vote",
    )


def stored_labels(path: Path) -> LabelVersion | Labels | None:
    """Load the version, or the bare labels, in a folder; None where there is no folder.

    Raises:
        LabelError: the folder holds something else, or damaged labels.
    """
    from gristmill.label.labels import Labels
    from gristmill.label.versions.version import LabelVersion, is_version

    if not path.is_dir():
        return None
    if not (path / STORED).is_file():
        held = sorted(each.name for each in path.iterdir())[:3]
        raise LabelError(
            f"expected a folder of labels, found one with {', '.join(held) or 'nothing'} in it",
            where=str(path),
            fix="name a folder that `gristmill label -o FOLDER` wrote",
        )
    return LabelVersion.load(path) if is_version(path) else Labels.load(path)


def stored_model(folder: Path) -> LabelModel | None:
    """Load the fitted label model beside stored labels; None where there is none."""
    from gristmill.label.models.label_model import LabelModel

    model = folder / MODEL
    return LabelModel.load(model) if model.is_dir() else None
