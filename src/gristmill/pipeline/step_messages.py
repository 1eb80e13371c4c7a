"""What a run and the processes that its steps run in tell each other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from gristmill.core.processes.failure import Failure


class Order(msgspec.Struct, frozen=True, tag=True):
    """Do a step. Sent to the process, which answers with a `Reply` or more, `Ended` the last.

    Attributes:
        step: its name.
        settings: values other than the defaults.
        paths: names of those that are paths.
        inputs: name -> digest of each input.
        key: the step's key, as the run knows it.
        record: of that key.
        force: whether to do it though there is a result.
    """

    step: str
    settings: dict[str, Any]
    paths: list[str]
    inputs: dict[str, str]
    key: str
    record: dict[str, Any]
    force: bool


class Recorded(msgspec.Struct, frozen=True, tag=True):
    """What was told is written down: the key's lock may go. Sent to the process."""


class Began(msgspec.Struct, frozen=True, tag=True):
    """The key's lock is held, nobody else has done the step, it runs now."""


class Ended(msgspec.Struct, frozen=True, tag=True):
    """The step is done: as `StepResult`, or found in the store, made by another run meanwhile."""

    seconds: float = 0.0
    output: str | None = None
    verdict: str | None = None
    failure: Failure | None = None
    passing: bool = False
    elements: dict[str, Any] | None = None
    found: bool = False


class Said(msgspec.Struct, frozen=True, tag=True):
    """A line for people."""

    text: str


class Opened(msgspec.Struct, frozen=True, tag=True):
    """A piece of work begins; the following name it by its number."""

    number: int
    title: str
    total: int | None
    unit: str


class Advanced(msgspec.Struct, frozen=True, tag=True):
    """So many more units are done."""

    number: int
    amount: int


class Noted(msgspec.Struct, frozen=True, tag=True):
    """A short text beside the work."""

    number: int
    text: str


class Shown(msgspec.Struct, frozen=True, tag=True):
    """Lines below the work."""

    number: int
    lines: Sequence[str]


class Closed(msgspec.Struct, frozen=True, tag=True):
    """The piece of work has ended."""

    number: int


Request = Order | Recorded
Progress = Said | Opened | Advanced | Noted | Shown | Closed
Reply = Began | Ended | Progress
