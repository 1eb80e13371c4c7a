"""Finds what was kept of a model's predictions: by serving file, or by folder."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote

from gristmill.core.errors import UsageError
from gristmill.serve.server.serving_file import read_plan
from gristmill.serve.server.settings import Settings
from gristmill.serve.watch.keeping import Keeping
from gristmill.serve.watch.kept_predictions import PREDICTIONS, served_folder


class KeptFolder(NamedTuple):
    """The folder of one served model or route, and how much is kept there, if that is known."""

    folder: Path
    keeping: Keeping | None = None


def kept_folder(source: Path | str, model: str = "") -> KeptFolder:
    """Return where the predictions of a model or route are kept.

    Args:
        source: a serving file; the folder of one served model; or one that holds those of several.
        model: its name, where there are several.

    Raises:
        UsageError: there is none, there are several, or the serving file is wrong.
    """
    path = Path(source)
    found = _of_file(path) if path.suffix == ".toml" else _of_folder(path)
    if model:
        found = {name: each for name, each in found.items() if name == model}
    if len(found) == 1:
        return next(iter(found.values()))
    if found:
        raise UsageError(
            f"predictions of {', '.join(found)} are kept here",
            where=str(source),
            fix="say of which model: --model NAME",
        )
    of = f" of {model!r}" if model else ""
    raise UsageError(
        f"no predictions{of} are kept here",
        where=str(source),
        fix="say keep_predictions in the serving file, or name a folder that holds some",
    )


def _of_file(path: Path) -> dict[str, KeptFolder]:
    plan = read_plan(path)
    found = {}
    for name, part in {**plan.models, **plan.routes}.items():
        keeping = part.settings(Settings()).keep
        folder = served_folder(plan.served_folder, name)
        if keeping is not None or (folder / PREDICTIONS).is_dir():
            found[name] = KeptFolder(folder, keeping)
    return found


def _of_folder(path: Path) -> dict[str, KeptFolder]:
    if (path / PREDICTIONS).is_dir():
        return {unquote(path.resolve().name): KeptFolder(path)}
    below = sorted(
        each.parent for pattern in ("*", "*/*") for each in path.glob(f"{pattern}/{PREDICTIONS}")
    )
    return {unquote(each.name): KeptFolder(each) for each in below}
