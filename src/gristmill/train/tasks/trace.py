"""A timeline in the Trace Event format that Perfetto and Chrome's `about:tracing` read."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from gristmill.core.atomic import write_atomic
from gristmill.train.tasks.task import Task
from gristmill.train.tasks.timeline import Timeline

_MICROSECONDS = 1e6


def to_trace(timeline: Timeline, names: Mapping[int, str] | None = None) -> bytes:
    """Return a timeline as JSON: a row for each device, a box for each task.

    Args:
        timeline: one that kept its intervals.
        names: of the trials; `trial 3` where there is none.
    """
    names = {} if names is None else names
    rows: list[dict[str, Any]] = [
        {"name": "thread_name", "ph": "M", "pid": 0, "tid": device,
         "args": {"name": f"device {device}"}}
        for device in range(timeline.devices)
    ]  # fmt: skip
    first = timeline.start if timeline.tasks else 0.0
    for task, device, start, end in timeline:
        rows.append(
            {"name": label(task), "cat": f"{task.kind},trial {task.trial}", "ph": "X", "pid": 0,
             "tid": device, "ts": round((start - first) * _MICROSECONDS, 3),
             "dur": round((end - start) * _MICROSECONDS, 3),
             "args": {**task._asdict(), "name": names.get(task.trial, f"trial {task.trial}")}}
        )  # fmt: skip
    return msgspec.json.encode({"displayTimeUnit": "ms", "traceEvents": rows})


def write_trace(timeline: Timeline, file: Path, names: Mapping[int, str] | None = None) -> None:
    """Write a timeline as a trace file, whole or not at all."""
    write_atomic(file, to_trace(timeline, names))


def label(task: Task) -> str:
    """Return a task in the shortest form: `F2.5` for forward of stage 2, micro-batch 5."""
    stage = "" if task.stage < 0 else str(task.stage)
    micro = "" if task.micro < 0 else f".{task.micro}"
    return f"{LETTERS[task.kind]}{stage}{micro}"


LETTERS = {
    "forward": "F", "backward": "B", "gradient": "G", "norm": "N", "update": "U",
    "step": "S", "evaluate": "E",
}  # fmt: skip
"""The letter of each kind of task."""
