"""What a step prints: shown as ever, and kept with the run.

Where a step runs, `step_output` writes it into `output_folder`; where runs are recorded,
`keep_output` takes it from there once the step has ended, however that came.
"""

from __future__ import annotations

import os
import shutil
import threading
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from gristmill.core.progress import LineReporter, current, is_reporting, reporting
from gristmill.core.redaction import is_anything_hidden, redacted
from gristmill.pipeline.provenance.bounded_log import read_bounded_log, rewrite

if TYPE_CHECKING:
    from gristmill.store.project import Project
    from gristmill.store.runs import Artifact, Execution, RunLog

LOG_FILE = "log.txt"
_TRY, _END = "try.", "end"
_one = threading.Lock()
"""Descriptors 1 and 2 belong to the process: one block at a time can have them."""


def _renew() -> None:
    """A forked process has descriptors of its own."""
    global _one
    _one = threading.Lock()


os.register_at_fork(after_in_child=_renew)


@contextmanager
def step_output(folder: Path) -> Iterator[None]:
    """Show what the block prints as ever, and write it into a folder; a failure's traceback, too.

    Python's streams, native code and child processes are heard. In a process where a block is under
    way already, or in another thread, nothing is written down.

    Args:
        folder: from `output_folder`; `keep_output` takes it from there.
    """
    ours = _one
    if not ours.acquire(blocking=False):
        yield
        return
    from gristmill.pipeline.provenance.output_capture import captured

    try:
        with captured(folder) as record:
            try:
                # Progress that nobody shows is written down all the same.
                with reporting(current() if is_reporting() else LineReporter(record)):
                    yield
            except BaseException as error:
                record.writelines(traceback.format_exception(error))
                raise
    finally:
        if is_anything_hidden():
            rewrite(folder, redacted)
        ours.release()


def output_folder(project: Project, run: str, step: str) -> Path:
    """Return where a step's output is written while it runs."""
    return project.home / "work" / "output" / run / quote(step, safe="")


def set_aside_output(project: Project, run: str, step: str, end: str) -> None:
    """Put aside what a try has printed that is followed by another one.

    Args:
        end: what it ended with.

    Raises:
        OSError: the disk is full.
    """
    folder = output_folder(project, run, step)
    tried = folder / f"{_TRY}{len(_tries(folder)) + 1}"
    printed = [path for path in folder.glob("*") if not path.name.startswith(_TRY)]
    tried.mkdir(parents=True)
    for path in printed:
        path.rename(tried / path.name)
    (tried / _END).write_text(end)


def keep_output(log: RunLog, run: str, step: str) -> Artifact | None:
    """Move what a step has printed into the store, and note that it belongs to the run.

    Returns:
        The artifact of the text; None for a step that printed nothing.

    Raises:
        StoreError: it cannot be stored.
        OSError: the disk is full.
    """
    from gristmill.store.codecs import Encoded
    from gristmill.store.enclosures import enclose, put_files

    folder = output_folder(log.project, run, step)
    text, left_out = _read_tries(folder)
    artifact = None
    if text:
        summary = {"characters": len(text), "left_out": left_out}
        encoded = Encoded(f"path:{LOG_FILE}", "step log", text.count("\n"), summary)
        artifact = put_files(log, {LOG_FILE: text.encode()}, encoded)
        enclose(log, run, step, {"log": artifact})
    shutil.rmtree(folder, ignore_errors=True)
    with suppress(OSError):  # that of the run, once it is empty
        folder.parent.rmdir()
    return artifact


def maker_of(log: RunLog, execution: Execution) -> Execution:
    """Return the execution that made what one has found up to date; else itself."""
    made = log.find_result(execution.key) if execution.status == "cached" else None
    return made or execution


def printed_by(log: RunLog, execution: Execution) -> str:
    """Return what a step printed, with the traceback if it failed; empty for nothing.

    Of a step that was up to date it is what it printed when it ran. Of one whose process was killed
    together with that of the run it is what it had written.

    Raises:
        StoreError: the artifact is gone or damaged.
    """
    from gristmill.store.enclosures import find_enclosure

    maker = maker_of(log, execution)
    kept = find_enclosure(log, maker.run, "log", maker.step)
    if kept is None:
        return _read_tries(output_folder(log.project, maker.run, maker.step))[0]
    return (log.files(kept.digest) / LOG_FILE).read_text(errors="replace")


def _read_tries(folder: Path) -> tuple[str, int]:
    """Return the text of all tries, each with its heading if there are several; bytes left out."""
    text, left_out = read_bounded_log(folder)
    tries = _tries(folder)
    if tries:
        text = f"[try {len(tries) + 1}]\n{text}"
    for number, tried in reversed(list(enumerate(tries, start=1))):
        earlier, missing = read_bounded_log(tried)
        text = f"[try {number}: {(tried / _END).read_text()}]\n{earlier}{text}"
        left_out += missing
    return text, left_out


def _tries(folder: Path) -> list[Path]:
    """Return where the output of tries was put aside, in order."""
    ended = [path.parent for path in folder.glob(f"{_TRY}*/{_END}")]
    return sorted(ended, key=lambda path: int(path.name.removeprefix(_TRY)))
