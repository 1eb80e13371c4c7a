"""A pipeline that is run because of findings: in a process of its own, its end on record.

Whoever starts it lends it the project's lock of retrainings, which it holds until it ends, even if
who started it is gone by then; it writes down itself how it ended. If it is killed there is no such
line, and the next look begins it again: steps that were done are up to date.
"""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from gristmill.core.errors import GateError, GristmillError
from gristmill.pipeline.load import load_pipeline
from gristmill.pipeline.running import run
from gristmill.store.decision import Decision
from gristmill.store.monitorings import Monitoring, Monitorings
from gristmill.store.project import Project
from gristmill.store.registry import Registry

if TYPE_CHECKING:
    from gristmill.pipeline.graph import Pipeline
    from gristmill.pipeline.run_record import Listener, RunResult

LOCK = "retraining"
_ENTRY = "gristmill.cli.monitor_retraining"
_LOOK = 0.2
_NOTHING_NEW = (
    "every step was up to date: the pipeline found nothing new; gather the feedback first, or "
    "name the steps that fetch data in `force`"
)
_STDERR = 2


class Order(msgspec.Struct, frozen=True):
    """What a retraining is to do.

    Attributes:
        root: the project's folder.
        model: the model whose findings called for it.
        alias: the alias that it may move.
        version: the version that answers now.
        ahead: seconds by which the time of the look is ahead of this machine's clock.
        pipeline: the file to run.
        force: steps to run though they are up to date.
        findings: those that called for it, for the record.
    """

    root: str
    model: str
    alias: str
    version: int
    ahead: float
    pipeline: str
    force: tuple[str, ...] = ()
    findings: list[dict[str, Any]] = []


def begin(order: Order, lock: int) -> subprocess.Popen[bytes]:
    """Start a retraining in a process of its own; what it prints goes to standard error.

    Args:
        order: what to do.
        lock: descriptor of the held lock, which the process holds from then on.
    """
    process = subprocess.Popen(  # noqa: S603 - our own interpreter and module, no shell
        [sys.executable, "-m", _ENTRY, str(lock)],
        stdin=subprocess.PIPE,
        stdout=_STDERR,
        cwd=order.root,
        pass_fds=[lock],
        start_new_session=True,  # Ctrl-C is for who waits; that one passes it on
    )
    if process.stdin is not None:
        with suppress(BrokenPipeError), process.stdin as orders:  # its end says what went wrong
            orders.write(msgspec.json.encode(order))
    return process


def wait_for(process: subprocess.Popen[bytes], stopped: Callable[[], bool]) -> None:
    """Wait until it ends; if that is no longer wanted, let it stop at its next good place.

    Raises:
        KeyboardInterrupt: after it has ended.
    """
    asked = False
    try:
        while process.poll() is None:
            if stopped() and not asked:
                process.send_signal(signal.SIGINT)
                asked = True
            try:
                process.wait(_LOOK)
            except subprocess.TimeoutExpired:
                continue
    except KeyboardInterrupt:
        process.send_signal(signal.SIGINT)
        process.wait()
        raise


def carry_out(
    order: Order, listener_of: Callable[[Pipeline], Listener] | None = None
) -> Monitoring:
    """Run the pipeline of an order in this process and write down how it ended.

    Args:
        order: what to do.
        listener_of: makes who hears of every step.

    Returns:
        The line that was written: `promoted`, `kept` or `failed`.

    Raises:
        KeyboardInterrupt: it was stopped, and nothing is written down.
    """
    with Project(order.root) as project:
        known = len(Registry(project).history(order.model))
        result: RunResult | None = None
        failure: Exception | None = None
        try:
            pipeline = load_pipeline(Path(order.root, order.pipeline))
            listener = None if listener_of is None else listener_of(pipeline)
            result = run(pipeline, project, force=order.force, listener=listener)
            failure = result.error
        except Exception as error:
            # Whatever it is, that it failed must be on record: it counts.
            failure = error
        decided = Registry(project).history(order.model)[known:]
        action, reasons, version = _outcome(
            [each for each in decided if each.alias == order.alias], result, failure, order.force
        )
        return Monitorings(project).add(
            order.model,
            action,
            reasons,
            version=version or order.version,
            findings=order.findings,
            run=None if result is None else result.run,
            at=time.time() + order.ahead,
        )


def _outcome(
    decided: Sequence[Decision],
    result: RunResult | None,
    failure: Exception | None,
    forced: Collection[str],
) -> tuple[str, list[str], int | None]:
    """Say how it ended, why, and which version answers if another does."""
    moved = [each for each in decided if each.moved]
    if moved:
        return "promoted", _reasons(moved[-1]), moved[-1].version
    if decided:
        return "kept", _reasons(decided[-1]), None
    if isinstance(failure, GateError):
        return "kept", [str(failure)], None
    if failure is not None:
        known = isinstance(failure, GristmillError)
        return "failed", [str(failure) if known else f"{type(failure).__name__}: {failure}"], None
    ran = () if result is None else result.executions.values()
    if result is not None and all(each.status == "cached" or each.step in forced for each in ran):
        return "kept", [_NOTHING_NEW], None
    return "kept", ["the pipeline brought no other version of the model"], None


def _reasons(decision: Decision) -> list[str]:
    return [f"version {decision.version}: {decision.verdict}", *decision.reasons]
