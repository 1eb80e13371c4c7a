"""Progress on the command line: bars on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from gristmill.core.progress import LineReporter, Reporter, Task
from gristmill.core.quantities import format_count

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.progress import Progress, ProgressColumn, TaskID
    from rich.progress import Task as RichTask

_OTHER_COLUMNS = 40
"""Columns of a terminal that a bar, its counts and its time take."""


def open_reporter() -> Reporter:
    """Return bars when standard error is a terminal, lines when it is a pipe or a file."""
    return BarReporter() if sys.stderr.isatty() else LineReporter()


class BarTask:
    """One bar."""

    def __init__(self, bars: Progress, handle: TaskID, title: str) -> None:
        self.bars, self.handle, self.title = bars, handle, title

    def advance(self, amount: int = 1) -> None:
        """Move the bar."""
        self.bars.advance(self.handle, amount)

    def note(self, text: str) -> None:
        """Show a short text behind the title, unless lines below say it all."""
        if not self.bars.tasks[self.bars.task_ids.index(self.handle)].fields["lines"]:
            room = max(len(self.title), self.bars.console.width - _OTHER_COLUMNS)
            self.bars.update(self.handle, description=f"{self.title}  {text}"[:room])

    def show(self, lines: Sequence[str]) -> None:
        """Show lines below the bars."""
        self.bars.update(self.handle, description=self.title, lines=tuple(lines))


class BarReporter:
    """Bars that vanish when their work is done, so that the results stay readable.

    rich is loaded with the first bar: a run that has nothing to do should not pay for it.
    """

    def __init__(self) -> None:
        self._bars: Progress | None = None
        self._open = 0

    def start(self, title: str, total: int | None, unit: str) -> Task:
        """Open a bar, and the display with it if it is the first one."""
        bars = self._display()
        self._open += 1
        return BarTask(bars, bars.add_task(title, total=total, unit=unit, lines=()), title)

    def finish(self, task: Task) -> None:
        """Close a bar, and the display with the last one."""
        if not isinstance(task, BarTask) or self._bars is None:
            return
        self._bars.remove_task(task.handle)
        self._open -= 1
        if self._open == 0:
            self._bars.stop()
            self._bars = None

    def say(self, text: str) -> None:
        """Print a line above the bars."""
        if self._bars is not None:
            self._bars.console.print(text, markup=False, highlight=False)
        else:
            print(text, file=sys.stderr, flush=True)

    def _display(self) -> Progress:
        if self._bars is None:
            from rich.console import Console
            from rich.progress import (
                BarColumn,
                MofNCompleteColumn,
                Progress,
                TextColumn,
                TimeRemainingColumn,
            )
            from rich.text import Text

            class Bars(Progress):
                def get_renderables(self) -> Iterable[RenderableType]:
                    yield from super().get_renderables()
                    for task in self.tasks:
                        for line in task.fields.get("lines", ()):
                            yield Text(f"    {line}", no_wrap=True, overflow="ellipsis")

            self._bars = Bars(
                TextColumn("  {task.description}"),
                BarColumn(bar_width=24),
                MofNCompleteColumn(),
                TextColumn("{task.fields[unit]}"),
                _rate_column(),
                TimeRemainingColumn(compact=True),
                console=Console(file=sys.stderr),  # also while a library puts another in its place
                transient=True,
                redirect_stdout=sys.stdout.isatty(),  # what leads to a file goes there
            )
            self._bars.start()
        return self._bars


def _rate_column() -> ProgressColumn:
    """Return the column that tells how many units are done a second."""
    from rich.progress import ProgressColumn
    from rich.text import Text

    class Rate(ProgressColumn):
        """Units a second, once there is a rate."""

        def render(self, task: RichTask) -> Text:
            rate = task.speed or 0.0
            return Text(f"{format_count(rate)}/s" if rate >= 1 else "")

    return Rate()
