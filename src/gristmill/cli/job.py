"""`gristmill job`: train what a Python file describes."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from gristmill.cli.output import HELP, emit, json_option, say, table, terminal_width

if TYPE_CHECKING:
    from gristmill.train.hunt.search import Search
    from gristmill.train.jobs.job import TrainingJob

_FILE = click.Path(dir_okay=False, path_type=Path)
_FOLDER = click.Path(file_okay=False, path_type=Path)


@click.command("job", context_settings=HELP)
@click.argument("file", metavar="FILE[:NAME]")
@click.option("--explain", is_flag=True, help="Print the plan; train nothing.")
@click.option("--save", type=_FOLDER, help="Write the weights here, as safetensors.")
@click.option("--trace", type=_FILE, help="Write what ran when, for Perfetto.")
@click.option("--gantt", type=_FILE, help="Write a picture of what ran when, as HTML.")
@json_option
def command(
    file: str,
    explain: bool,
    save: Path | None,
    trace: Path | None,
    gantt: Path | None,
    as_json: bool,
) -> None:
    """Train what FILE describes: a model of any size, or a search over many, on several devices.

    NAME (`job` by default) is a `train.job(...)`, a `train.search(...)`, or a function without
    arguments that returns one. Interrupted by Ctrl-C or anything else, training goes on from its
    last checkpoint when the same command is given again. `gristmill runs` in the file's folder
    lists what was trained, with curves and reasons.

    \b
    # gpt.py
    from gristmill import train
    def job():
        return train.job(build_model, data, loss="cross_entropy", memory="1GB")

    \b
    Examples:
      gristmill job gpt.py --explain              look at the plan
      gristmill job gpt.py --save out             train, write the weights
      gristmill job gpt.py:search --gantt g.html  train, draw what ran when

    \b
    Exit codes:
      0    trained
      2    wrong call, or a mistake in FILE
      9    training cannot start, cannot go on, or every model failed
      130  stopped with Ctrl-C; says what is safe
    """
    ready = _load(file)
    if explain:
        plan = str(ready.explain())
        emit({"plan": plan}, as_json, lambda: say(_wrapped(plan)))
        return
    with _recorded(ready, file):
        ready.run()
    if trace and ready.timeline is not None:
        ready.trace(trace)
    if gantt and ready.timeline is not None:
        ready.gantt(gantt)
    _check_trained(ready)
    found = ready.describe()
    if save:
        found["saved"] = [str(each) for each in ready.save(save)]
    emit(found, as_json, lambda: _show(ready, found))


def _load(named: str) -> TrainingJob | Search:
    from gristmill.core.errors import UsageError
    from gristmill.pipeline.load import import_file
    from gristmill.train import Search, TrainingJob

    path, _, name = named.partition(":")
    file = Path(path).resolve()
    if not file.is_file():
        raise UsageError("there is no such file", where=path, fix="name a Python file")
    found = getattr(import_file(file), name or "job", None)
    if callable(found) and not isinstance(found, TrainingJob | Search):
        found = found()
    if not isinstance(found, TrainingJob | Search):
        raise UsageError(
            f"expected {name or 'job'!r} to be a training job or a search, or a function that "
            f"returns one, found {type(found).__name__}",
            where=path,
            fix=f"{name or 'job'} = train.job(...), or name another as {path}:NAME",
        )
    return found


def _check_trained(ready: TrainingJob | Search) -> None:
    """Raise an error if every model failed; a search has done so by itself."""
    from gristmill.core.errors import TrainError
    from gristmill.train import Search

    if not isinstance(ready, Search) and len(ready.failures) == len(ready.trials):
        raise TrainError(f"every model failed; the first: {ready.failures[min(ready.failures)]}")


@contextmanager
def _recorded(ready: TrainingJob | Search, named: str) -> Iterator[None]:
    """Write what becomes of each trial or model to the store of the file's folder."""
    from gristmill.store.project import Project
    from gristmill.store.runs import RunLog
    from gristmill.train import Search
    from gristmill.train.hunt.store_trials import StoreTrials
    from gristmill.train.jobs.store_models import store_models

    pipeline = Path(named).name
    with Project(Path(named.partition(":")[0]).parent) as project:
        log = RunLog(project)
        run = log.start(pipeline, {})
        status = "failed"
        try:
            if isinstance(ready, Search):
                ready.watch = StoreTrials(log, run, pipeline)
            yield
            if not isinstance(ready, Search):
                store_models(ready, log, run, pipeline)
            status = "done"
        except KeyboardInterrupt:
            status = "stopped"
            raise
        finally:
            log.finish(run, status)


def _show(ready: TrainingJob | Search, found: dict[str, object]) -> None:
    from gristmill.train import Search

    if isinstance(ready, Search):
        say(_wrapped(ready.leaderboard()))
    else:
        models = found["models"]
        rows = [_row(each) for each in models] if isinstance(models, list) else []
        table("Models", ["model", "steps", "last loss", "on rows held out", ""], rows)
        say(_wrapped(str(ready.explain())))
    saved = found.get("saved")
    for file in saved if isinstance(saved, list) else []:
        say(f"written: {file}")


def _wrapped(plan: str) -> str:
    """Return a plan whose lines fit the terminal; what goes on is set in."""
    width = max(40, terminal_width())
    lines = []
    for line in plan.splitlines():
        inset = " " * (len(line) - len(line.lstrip()) + 2)
        lines += textwrap.wrap(
            line, width, subsequent_indent=inset, break_long_words=False, break_on_hyphens=False
        )
    return "\n".join(lines)


def _row(model: dict[str, object]) -> list[object]:
    metrics = model["metrics"]
    told = metrics.items() if isinstance(metrics, dict) else ()
    held_out = ", ".join(f"{name} {value:.4g}" for name, value in told)
    loss = model["loss"]
    shown = round(loss, 4) if isinstance(loss, float) else ""
    return [model["model"], model["steps"], shown, held_out, model["failed"] or ""]
