"""The graph of a pipeline's steps, in an order in which they can run."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from gristmill.core.errors import UsageError
from gristmill.core.suggestion import did_you_mean
from gristmill.pipeline.hints import check_wiring
from gristmill.pipeline.steps import Step

AnyStep = Step[..., Any]


class Pipeline:
    """The steps of one pipeline, checked and in running order.

    Args:
        steps: in the order of their definition; that order is kept where the graph leaves a choice.
        name: what the runs of this pipeline are filed under, usually its file's name.
        path: the file it was read from.

    Raises:
        UsageError: no steps, two of one name, a need that no step gives, a cycle, or two hints that
            disagree.
    """

    def __init__(
        self, steps: Sequence[AnyStep], name: str = "pipeline", path: Path | None = None
    ) -> None:
        self.name = name
        self.path = path
        named = _by_name(steps, name)
        check_wiring(named)
        self.steps = _ordered(named, name)

    def __getitem__(self, name: str) -> AnyStep:
        for step in self.steps:
            if step.name == name:
                return step
        raise UsageError(f"there is no step {name!r}", fix=_near(name, self.names))

    @property
    def names(self) -> list[str]:
        """The names of the steps, in running order."""
        return [step.name for step in self.steps]

    def downstream(self, sources: Iterable[str]) -> set[str]:
        """Return the named steps and all that need them, directly or not."""
        found = {self[name].name for name in sources}
        for step in self.steps:  # each follows what it needs
            if not found.isdisjoint(step.needs):
                found.add(step.name)
        return found

    def upstream(self, targets: Iterable[str]) -> set[str]:
        """Return the named steps and all that they need, directly or not."""
        wanted: set[str] = set()
        waiting = [self[name].name for name in targets]
        while waiting:
            name = waiting.pop()
            if name not in wanted:
                wanted.add(name)
                waiting += self[name].needs
        return wanted


def _by_name(steps: Sequence[AnyStep], pipeline: str) -> dict[str, AnyStep]:
    named: dict[str, AnyStep] = {}
    for step in steps:
        if step.name in named:
            raise UsageError(f"two steps are called {step.name!r}", where=pipeline)
        named[step.name] = step
    if not named:
        raise UsageError(
            "this file defines no steps", where=pipeline, fix="mark functions with @gristmill.step"
        )
    for step in steps:
        for need in step.needs:
            if need not in named:
                raise UsageError(
                    f"needs {need!r}, but no step has that name",
                    where=f"{pipeline}: step {step.name!r}",
                    fix=_near(need, list(named))
                    + ", or give the parameter a default to make it a setting",
                )
    return named


def _ordered(named: Mapping[str, AnyStep], pipeline: str) -> list[AnyStep]:
    """Sort so that every step follows what it needs (Kahn 1962), first-defined first."""
    done: dict[str, AnyStep] = {}
    waiting = dict(named)
    while waiting:
        ready = next((s for s in waiting.values() if all(n in done for n in s.needs)), None)
        if ready is None:
            raise UsageError(
                f"these steps need each other in a circle: {', '.join(waiting)}", where=pipeline
            )
        done[ready.name] = waiting.pop(ready.name)
    return list(done.values())


def _near(name: str, known: Sequence[str]) -> str:
    return did_you_mean(name, known, f"known steps: {', '.join(known)}")
