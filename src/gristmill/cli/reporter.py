"""Progress on the command line: bars on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from gristmill.core.progress import LineReporter, Reporter, Task

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID


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
        """Show a short text behind the title."""
        self.bars.update(self.handle, description=f"{self.title}  {text}")


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
        return BarTask(bars, bars.add_task(title, total=total, unit=unit), title)

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

            self._bars = Progress(
                TextColumn("  {task.description}"),
                BarColumn(bar_width=24),
                MofNCompleteColumn(),
                TextColumn("{task.fields[unit]}"),
                TimeRemainingColumn(compact=True),
                console=Console(stderr=True),
                transient=True,
            )
            self._bars.start()
        return self._bars
