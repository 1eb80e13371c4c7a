"""What a finished run shows of itself: a trace and a picture of what ran when."""

from __future__ import annotations

from pathlib import Path

from gristmill.core.atomic import write_atomic
from gristmill.core.errors import TrainError
from gristmill.train.tasks.gantt import to_html
from gristmill.train.tasks.timeline import Timeline
from gristmill.train.tasks.trace import write_trace


class Recorded:
    """Something that runs tasks on devices and keeps when they ran.

    Attributes:
        timeline: of the last run; None before one.
    """

    timeline: Timeline | None = None

    def trace(self, file: Path | str) -> None:
        """Write what ran when, for Perfetto or Chrome's tracing page.

        Raises:
            TrainError: nothing ran yet.
        """
        write_trace(self._ran(), Path(file))

    def gantt(self, file: Path | str) -> None:
        """Write a picture of what ran when, as a page of its own.

        Raises:
            TrainError: nothing ran yet.
        """
        write_atomic(Path(file), to_html(self._ran(), title="Training").encode())

    def _ran(self) -> Timeline:
        if self.timeline is None:
            raise TrainError("nothing ran yet", fix="call run()")
        return self.timeline
