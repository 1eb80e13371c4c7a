"""`gristmill init`: a small working project."""

from __future__ import annotations

import re
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import click

from gristmill.cli.output import HELP, emit, json_option, say
from gristmill.core.errors import UsageError

_SCAFFOLD = Path(__file__).parent / "scaffold"
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]*")
_FILES = ("pipeline.py", "labelers.py", "messages.csv", "later.csv", "gristmill.toml", "README.md")
_NEXT = ("gristmill run", "gristmill explain", "gristmill lineage labels/4")
_BASE_IMPORTS = "data, label, step, validate"
_TRAIN_IMPORTS = "data, label, serve, step, store, train, validate"


@click.command("init", context_settings=HELP)
@click.argument("name")
@json_option
def command(name: str, as_json: bool) -> None:
    """Start a small working project in a new folder NAME.

    It labels, validates and (where torch is installed) learns from 72 invented messages of
    customers; put your own data and rules in their place.

    \b
    gristmill init complaints
    cd complaints
    gristmill run

    NAME has letters, digits, - and _, and begins with a letter. A folder of that name may be there,
    if it is empty.

    Exit codes: 0 done, 2 a bad name, a folder that is not empty or cannot be written.
    """
    training = find_spec("torch") is not None
    folder = create(name, Path.cwd(), training=training)
    commands = [f"cd {name}", *_NEXT]
    payload = {
        "folder": str(folder), "files": list(_FILES), "training": training, "next": commands,
    }  # fmt: skip
    emit(payload, as_json, lambda: _show(name, training, commands))


def create(name: str, parent: Path, *, training: bool) -> Path:
    """Write a project called `name` into `parent` and return its folder; all of it or nothing.

    Args:
        name: of the project and of its folder.
        parent: an existing folder.
        training: whether the pipeline has the steps that need torch.

    Raises:
        UsageError: the name is no name, the folder is not empty, or cannot be written.
    """
    from gristmill.core.atomic import atomic_folder

    folder = parent / name
    _check(name, folder)
    try:
        with atomic_folder(folder) as draft:
            for file, text in _contents(name, training=training):
                (draft / file).write_text(text, encoding="utf-8")
    except OSError as error:
        raise UsageError(
            f"cannot write the project: {error.strerror or error}",
            where=str(folder),
            fix="go to a folder that you may write to, on a disk with room",
        ) from error
    return folder


def _check(name: str, folder: Path) -> None:
    if not _NAME.fullmatch(name):
        raise UsageError(
            "expected a name of letters, digits, - and _ that begins with a letter, "
            f"found {name!r}",
            fix="go to the folder where the project should lie, and give a plain name",
        )
    if folder.is_symlink() or (folder.exists() and not folder.is_dir()):
        raise UsageError("there is a file of that name", where=name, fix="choose another name")
    if folder.is_dir() and any(folder.iterdir()):
        raise UsageError("the folder is not empty", where=name, fix="choose another name")


def _contents(name: str, *, training: bool) -> Iterator[tuple[str, str]]:
    """Yield the name and the text of each file, filled in."""
    steps = _read("training_steps.py.txt")
    words = {
        "@NAME@": name,
        "@IMPORTS@": _TRAIN_IMPORTS if training else _BASE_IMPORTS,
        "@TRAIN_IMPORTS@": _TRAIN_IMPORTS,
        "@PIPELINE_IMPORTS@": "say, training_profile, workdir" if training else "say",
        "@STEPS@": steps,
    }
    more = {
        "pipeline.py": f"\n\n{steps}" if training else "",
        "README.md": _read("training_there.md.txt" if training else "training_missing.md.txt"),
    }
    for file in _FILES:
        text = _read(file if file.endswith(".csv") else f"{file}.txt") + more.get(file, "")
        for word, value in words.items():
            text = text.replace(word, value)
        yield file, text


def _read(file: str) -> str:
    return (_SCAFFOLD / file).read_text(encoding="utf-8")


def _show(name: str, training: bool, commands: list[str]) -> None:
    say(f"made the project {name}: {', '.join(_FILES)}")
    if not training:
        say("training needs torch, so its steps are left out: see README.md there")
    say("next:")
    for line in commands:
        say(f"  {line}")
