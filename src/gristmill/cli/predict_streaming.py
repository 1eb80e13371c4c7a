"""Batch prediction with a model larger than memory: its weights come by the tiers of training.

`serve` cuts the graph and computes it, `train` brings weights from disk to memory ahead of their
use; neither knows of the other.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from gristmill.core.closing import Closing
from gristmill.core.errors import UsageError
from gristmill.core.memory import free_memory
from gristmill.core.processes.place import allowed_processors
from gristmill.core.progress import current
from gristmill.core.quantities import format_bytes, format_seconds
from gristmill.store.bundle import WEIGHTS, Bundle

if TYPE_CHECKING:
    from gristmill.serve.runners.runner import Runner
    from gristmill.serve.runners.streaming import StreamedRunner, StreamingPlan
    from gristmill.train.records.weight_stream import WeightStream

_ROW_MEMORY = 512_000_000
_SHARE_OF_FREE = 0.8
"""Of the free memory: weights that take more of it leave no room for work."""
_SHARE_OF_BUDGET = 0.75
"""Of a budget: the rest is for rows."""


@dataclass(frozen=True)
class Keeping:
    """What of a prediction is kept in memory, in each process.

    Attributes:
        weight_bytes: of the model.
        row_memory: bytes for rows under way.
        threads: of one operator, where weights are streamed.
        plan: how weights pass through memory; None where they stay in it.
    """

    weight_bytes: int
    row_memory: int
    threads: int
    plan: StreamingPlan | None = None

    def __str__(self) -> str:
        if self.plan is not None:
            return str(self.plan)
        return (
            f"weights  {format_bytes(self.weight_bytes)}, kept in memory as a whole\n"
            f"rows     {format_bytes(self.row_memory)} of memory for those under way"
        )

    @property
    def part_rows(self) -> int | None:
        """Rows of a part: those of one reading of the weights; None leaves it to their size."""
        return None if self.plan is None else self.plan.rows

    @contextmanager
    def opener(self) -> Iterator[StreamedOpener | None]:
        """Lend what opens the bundle, None for the usual way; tell what is done, and what was."""
        if self.plan is None:
            yield None
            return
        current().say(self.plan.summary)
        with StreamedOpener(self.plan, self.threads) as opener:
            yield opener
            if opener.streams:
                current().say(opener.told)


def keeping_of(bundle: Bundle, budget: int | None, workers: int) -> Keeping:
    """Decide whether the weights of a bundle stay in memory or pass through it.

    Args:
        bundle: the bundle.
        budget: bytes for weights and rows in each process; None keeps weights in memory unless they
            take most of what is free.
        workers: processes.

    Raises:
        UsageError: the budget is too small, or what streams weights is not installed.
        BundleError: the bundle is damaged.
    """
    weights = bundle.manifest.files[WEIGHTS].bytes_
    threads = max(1, len(allowed_processors()) // workers)
    memory = _streaming_memory(weights, budget, workers)
    if memory is None:
        return Keeping(weights, _ROW_MEMORY if budget is None else budget - weights, threads)
    plan = _plan(bundle, memory)
    return Keeping(weights, plan.row_memory, threads, plan)


@dataclass(frozen=True)
class StreamedOpener(Closing):
    """Opens a bundle so that its weights pass through memory; may be sent to other processes.

    Args:
        plan: of the bundle.
        threads: of one operator.
        run: tells openers apart, so that none is given what another has closed.
        streams, runners: what was opened in this process.
    """

    plan: StreamingPlan = field(compare=False)
    threads: int
    run: str = field(default_factory=lambda: secrets.token_hex(8))
    streams: list[WeightStream] = field(default_factory=list, compare=False, repr=False)
    runners: list[StreamedRunner] = field(default_factory=list, compare=False, repr=False)

    def __call__(self, folder: Path) -> Runner:
        """Open the bundle in a folder.

        Raises:
            BundleError: it is damaged.
            UsageError: the memory is not there.
        """
        from gristmill.serve.runners.streaming import StreamedRunner
        from gristmill.store.tensor_file import TensorFile
        from gristmill.train.records.weight_stream import WeightStream

        bundle = Bundle.open(folder)
        file = TensorFile(folder / WEIGHTS, bundle.manifest.files[WEIGHTS])
        stream = WeightStream(file, self.plan.groups, self.plan.pool)
        self.streams.append(stream)
        runner = StreamedRunner(bundle, self.plan, stream, threads=self.threads)
        self.runners.append(runner)
        return runner

    def __reduce__(self) -> tuple[object, ...]:
        return StreamedOpener, (self.plan, self.threads, self.run)

    @property
    def told(self) -> str:
        """One line on what was read in this process, and who waited for it."""
        rounds = sum(stream.rounds for stream in self.streams)
        read = sum(stream.bytes_read for stream in self.streams)
        waited = sum(stream.seconds_waited for stream in self.streams)
        times = "once" if rounds == 1 else f"{rounds:,} times"
        return (
            f"the weights passed through {times}: {format_bytes(read)} were read, and computing "
            f"waited {format_seconds(waited)} for them"
        )

    def close(self) -> None:
        """Let the weights of this process go."""
        for runner in self.runners:
            runner.close()
        self.streams.clear()
        self.runners.clear()


def _streaming_memory(weights: int, budget: int | None, workers: int) -> int | None:
    """Return the bytes that a model which is too large may take; None where its weights fit."""
    if budget is not None:
        return budget if weights > _SHARE_OF_BUDGET * budget else None
    free = free_memory()
    if free is None or weights * workers <= _SHARE_OF_FREE * free:
        return None
    half = free // (2 * workers)
    return 1 << (half.bit_length() - 1)  # the same next time, though a little more is free


def _plan(bundle: Bundle, memory: int) -> StreamingPlan:
    try:
        import xxhash  # noqa: F401 - what the tiers of training need beside torch
    except ImportError as error:
        weights = bundle.manifest.files[WEIGHTS].bytes_
        raise UsageError(
            f"weights of {format_bytes(weights)} do not fit in memory, and reading them piece by "
            "piece needs the package 'xxhash', which is not installed",
            fix="pip install 'gristmill[train]', or give more --memory",
        ) from error
    from gristmill.serve.runners.streaming import plan_streaming

    return plan_streaming(bundle, memory)
