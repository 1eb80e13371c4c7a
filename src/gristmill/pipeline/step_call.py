"""One call of a step on stored inputs, in this process: its result goes into the store."""

from __future__ import annotations

import secrets
import shutil
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import msgspec

from gristmill.core.errors import GristmillError, StepError, StoreError
from gristmill.core.opened_files import noting_opened_files
from gristmill.core.redaction import is_anything_hidden, redact_error, redacted
from gristmill.pipeline.context import say, working_in
from gristmill.pipeline.graph import AnyStep, Pipeline
from gristmill.pipeline.hints import misfit
from gristmill.pipeline.keys import StepKey
from gristmill.pipeline.load import user_place
from gristmill.pipeline.secrets import hide_settings, refuse_hidden
from gristmill.pipeline.step_output import output_folder, step_output
from gristmill.pipeline.step_recipe import recipe_of
from gristmill.pipeline.tries import may_pass
from gristmill.pipeline.undeclared_files import undeclared_files
from gristmill.store.codecs import encode
from gristmill.store.recipe import following
from gristmill.store.runs import Artifact, RunLog

if TYPE_CHECKING:
    from gristmill.pipeline.element_run import Tally


@dataclass(frozen=True, slots=True)
class StepResult:
    """What came of a call.

    Attributes:
        seconds: that it took.
        output: digest of the result; None where it failed.
        verdict: what the result says, if it is a gate's verdict.
        error: why it failed.
        passing: whether another try may do better.
        elements: how many elements there were, for a step that is called once per element.
    """

    seconds: float
    output: str | None = None
    verdict: str | None = None
    error: GristmillError | None = None
    passing: bool = False
    elements: dict[str, Any] | None = None


class StepCall:
    """A call of a step, once.

    Args:
        log: the record of the project.
        run: the run's id.
        pipeline: that the step is of.
        key: the step with its settings and the digests of its inputs.
    """

    def __init__(self, log: RunLog, run: str, pipeline: Pipeline, key: StepKey) -> None:
        self.log, self.run, self.pipeline, self.key = log, run, pipeline, key
        self._tally: Tally | None = None
        self._passing = False

    @property
    def elements(self) -> dict[str, Any] | None:
        """How many elements there are and how they went so far; None without elements."""
        told: dict[str, Any] | None = None
        if self._tally is not None:
            told = msgspec.to_builtins(self._tally)
        return told

    def go(self, *, force: bool) -> StepResult:
        """Call the function and store what it returns.

        Args:
            force: of a step that is called once per element: call all, though results are kept.
        """
        began = time.perf_counter()
        log, step = self.log, self.key.step
        hide_settings(self.key.settings.values())
        try:
            with step_output(output_folder(log.project, self.run, step.name)):
                artifact = self._elementwise(force) if step.fans_out else self._whole()
        except (Exception, SystemExit) as error:
            seconds = time.perf_counter() - began
            failure = as_step_error(error, step, self.pipeline)
            return StepResult(seconds, error=failure, passing=self._passing, elements=self.elements)
        seconds = time.perf_counter() - began
        verdict = artifact.summary["verdict"] if artifact.kind == "verdict" else None
        return StepResult(seconds, artifact.digest, verdict, elements=self.elements)

    def _elementwise(self, force: bool) -> Artifact:
        from gristmill.pipeline.element_run import ElementRun

        work = ElementRun(self.log, self.run, self.key)
        self._tally = work.tally
        try:
            return work.go(force=force)
        except (Exception, SystemExit) as error:
            self._passing = may_pass(error)
            raise

    def _whole(self) -> Artifact:
        key = self.key
        values = {name: self._input(name, digest) for name, digest in key.inputs.items()}
        folder = self.log.project.work_folder(key.digest)
        try:
            with (
                working_in(lambda: folder),
                following(lambda: recipe_of(key, self.pipeline.name, self.log)),
                noting_opened_files() as opened,
            ):
                value = key.step.function(**values, **key.settings)
        except (Exception, SystemExit) as error:
            redact_error(error)  # before its traceback is written down
            self._passing = may_pass(error)
            raise
        for file in undeclared_files(opened, self.log.project.root, key.settings):
            say(f"note: it has read {file}, which no setting names: a change of it is not seen")
        artifact = self._kept(value)
        # Moved away first: a kill in the middle must not leave half of it to the next try.
        gone = self.log.project.work_folder("drafts") / f"{key.digest}.{secrets.token_hex(6)}"
        with suppress(FileNotFoundError):  # the step has removed it itself
            folder.rename(gone)
        shutil.rmtree(gone, ignore_errors=True)
        return artifact

    def _input(self, name: str, digest: str) -> object:
        try:
            return self.log.load(digest)
        except StoreError as error:
            inner = f"{error.where}: {error.message}" if error.where else error.message
            raise StoreError(f"its input {name!r}: {inner}", fix=error.fix) from error

    def _kept(self, value: object) -> Artifact:
        """Store a result, if it is what the step says it gives and holds no secret."""
        found = misfit(value, self.key.step)
        if found is not None:
            raise StepError(found, fix="correct the function, or its hint")
        with self.log.draft() as folder:
            encoded = encode(value, folder)
            if is_anything_hidden():
                refuse_hidden(path.read_bytes() for path in folder.rglob("*") if path.is_file())
            artifact = self.log.put(folder, encoded)
        self.log.note(artifact)
        return artifact


def as_step_error(
    error: Exception | SystemExit, step: AnyStep, pipeline: Pipeline
) -> GristmillError:
    """Put a step's exception into words: which step, where in the user's code, what to do."""
    redact_error(error)
    folder = pipeline.path.parent if pipeline.path else None
    place = user_place(error, folder) if folder else None
    where = f"step {step.name!r}" + (f" ({place})" if place else "")
    if isinstance(error, GristmillError):
        inner = f"{error.where}: {error.message}" if error.where else error.message
        failure = type(error)(inner, where=where, fix=error.fix)
    elif isinstance(error, OSError):
        failure = StepError(
            f"{error.strerror or error} ({error.filename})" if error.filename else str(error),
            where=where,
            fix="free some space on the disk and run again" if error.errno == 28 else None,
        )
    else:
        failure = StepError(f"{type(error).__name__}: {error}", where=where)
    failure.message = redacted(failure.message)  # an exception may make its text as it is asked
    failure.__cause__ = error
    return failure
