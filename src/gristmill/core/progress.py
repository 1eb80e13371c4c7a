"""Progress of long work: a bar on a terminal, plain lines in a log, nothing when told to be quiet.

Stages report to whatever `current()` is; the command line installs a reporter, a library user may,
and by default nothing is printed.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import IO, Protocol, TypeVar

from gristmill.core.quantities import format_count, format_seconds

T = TypeVar("T")
_SECONDS_BETWEEN_LINES = 5.0


class Task(Protocol):
    """One piece of work under way."""

    def advance(self, amount: int = 1) -> None:
        """Say that `amount` more units are done."""

    def note(self, text: str) -> None:
        """Show a short text beside the work: a loss, a file name."""

    def show(self, lines: Sequence[str]) -> None:
        """Show lines below the work, where there is room for them: one a device, one a trial."""


class Reporter(Protocol):
    """Where progress goes."""

    def start(self, title: str, total: int | None, unit: str) -> Task:
        """Begin a piece of work of `total` units (None where unknown)."""

    def finish(self, task: Task) -> None:
        """End it, whether it got to its total or not."""

    def say(self, text: str) -> None:
        """Print one line without disturbing the bars."""


class _Quiet:
    """Reports nothing."""

    def start(self, title: str, total: int | None, unit: str) -> Task:
        return self

    def advance(self, amount: int = 1) -> None:
        pass

    def note(self, text: str) -> None:
        pass

    def show(self, lines: Sequence[str]) -> None:
        pass

    def finish(self, task: Task) -> None:
        pass

    def say(self, text: str) -> None:
        pass


class _LineTask:
    """Work that shows itself as a line every few seconds."""

    def __init__(self, stream: IO[str], title: str, total: int | None, unit: str) -> None:
        self.stream, self.title, self.total, self.unit = stream, title, total, unit
        self.done, self.text = 0, ""
        self.began = self.printed = time.monotonic()

    def advance(self, amount: int = 1) -> None:
        self.done += amount
        now = time.monotonic()
        if now - self.printed >= _SECONDS_BETWEEN_LINES:
            self.printed = now
            print(self.line(now), file=self.stream, flush=True)

    def note(self, text: str) -> None:
        self.text = text

    def show(self, lines: Sequence[str]) -> None:
        """Leave them out: a log has the note."""

    def line(self, now: float) -> str:
        """Say how far the work is: count, rate and time left."""
        rate = self.done / max(now - self.began, 1e-9)
        parts = [f"{self.title}: {format_count(self.done)}"]
        if self.total:
            parts[0] += f" of {format_count(self.total)}"
        if self.total and self.done:
            left = (self.total - self.done) / max(rate, 1e-9)
            parts.append(f"{format_seconds(max(left, 0.0))} left")
        parts[0] += f" {self.unit}"
        if self.done:
            slow = 0 < rate < 1
            parts.insert(
                1, f"{format_seconds(1 / rate)} each" if slow else f"{format_count(rate)}/s"
            )
        return "  " + ", ".join([*parts, *([self.text] if self.text else [])])


class LineReporter:
    """Plain lines, for logs and pipes."""

    def __init__(self, stream: IO[str] | None = None) -> None:
        self.stream = stream or sys.stderr

    def start(self, title: str, total: int | None, unit: str) -> Task:
        """Begin work that prints a line every five seconds."""
        return _LineTask(self.stream, title, total, unit)

    def finish(self, task: Task) -> None:
        """End it without a word: what the work produced is printed by its owner."""

    def say(self, text: str) -> None:
        """Print one line."""
        print(text, file=self.stream, flush=True)


_QUIET: Reporter = _Quiet()
_current: ContextVar[Reporter] = ContextVar("gristmill_progress", default=_QUIET)


def current() -> Reporter:
    """Return the reporter in force."""
    return _current.get()


def is_reporting() -> bool:
    """Say whether anybody sees what is reported."""
    return _current.get() is not _QUIET


@contextmanager
def reporting(reporter: Reporter) -> Iterator[Reporter]:
    """Send progress to `reporter` within the block."""
    token = _current.set(reporter)
    try:
        yield reporter
    finally:
        _current.reset(token)


@contextmanager
def task(title: str, total: int | None = None, unit: str = "rows") -> Iterator[Task]:
    """Show a piece of work for the length of the block."""
    reporter = current()
    work = reporter.start(title, total, unit)
    try:
        yield work
    finally:
        reporter.finish(work)


def track(
    items: Iterable[T], title: str, total: int | None = None, unit: str = "items"
) -> Iterator[T]:
    """Yield `items`, showing how many have gone by."""
    with task(title, total, unit) as work:
        for item in items:
            yield item
            work.advance()
