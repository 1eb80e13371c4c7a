"""Reading a pipeline from a Python file."""

from __future__ import annotations

import importlib.util
import sys
import traceback
from pathlib import Path
from types import ModuleType

from gristmill.core.errors import GristmillError, UsageError
from gristmill.pipeline.graph import Pipeline
from gristmill.pipeline.steps import Step


def load_pipeline(path: Path | str) -> Pipeline:
    """Import a file and return the pipeline of the steps in it.

    The file's folder goes first on the import path, so that it can import its neighbours.

    Raises:
        UsageError: the file is missing, fails to import, or its steps do not fit together.
    """
    file = Path(path).resolve()
    if file.is_dir():
        file /= "pipeline.py"
    if not file.is_file():
        raise UsageError(
            "there is no such pipeline file",
            where=str(path),
            fix="name a Python file with @step functions, or start one with `gristmill init NAME`",
        )
    module = import_file(file)
    steps = [value for value in vars(module).values() if isinstance(value, Step)]
    return Pipeline(steps, file.name, file)


def import_file(file: Path) -> ModuleType:
    """Import a Python file under its own name, as worker processes will.

    Raises:
        UsageError: the file has a mistake; the message names its line.
    """
    if str(file.parent) not in sys.path:
        sys.path.insert(0, str(file.parent))
    loaded = sys.modules.get(file.stem)
    if loaded is not None and getattr(loaded, "__file__", None) == str(file):
        return loaded
    spec = importlib.util.spec_from_file_location(file.stem, file)
    if spec is None or spec.loader is None:
        raise UsageError("expected a Python file", where=str(file))
    module = importlib.util.module_from_spec(spec)
    sys.modules[file.stem] = module
    try:
        spec.loader.exec_module(module)
    except GristmillError:
        del sys.modules[file.stem]
        raise
    except (Exception, SystemExit) as error:
        del sys.modules[file.stem]
        raise _mistake(error, file) from error
    return module


def user_place(error: BaseException, folder: Path) -> str | None:
    """Return `file:line` of the innermost frame that lies in the user's folder."""
    frames = traceback.extract_tb(error.__traceback__)
    mine = [frame for frame in frames if Path(frame.filename).is_relative_to(folder)]
    return f"{Path(mine[-1].filename).name}:{mine[-1].lineno}" if mine else None


def _mistake(error: Exception | SystemExit, file: Path) -> UsageError:
    if isinstance(error, SyntaxError):
        name = Path(error.filename or file).name
        return UsageError(
            f"{error.msg}: {(error.text or '').strip()}", where=f"{name}:{error.lineno}"
        )
    fix = None
    if isinstance(error, ModuleNotFoundError) and error.name:
        fix = f"install {error.name.partition('.')[0]}, or correct its name"
    place = user_place(error, file.parent) or file.name
    return UsageError(f"{type(error).__name__}: {error}", where=place, fix=fix)
