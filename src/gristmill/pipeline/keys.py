"""Cache keys of steps, and the reasons why a key is not the one of last time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from pathlib import Path
from typing import Any

from gristmill.core.code import CodeReach, reach
from gristmill.core.errors import UsageError
from gristmill.core.fingerprint import fingerprint
from gristmill.core.plain_values import kinds
from gristmill.pipeline.graph import AnyStep
from gristmill.pipeline.setting_paths import path_print, paths_in, with_contents
from gristmill.store.codecs import is_json
from gristmill.store.runs import Execution

_SHOWN = 80
"""How many characters of a setting are kept."""


@dataclass(frozen=True)
class StepKey:
    """All that decides a step's result: code, packages, settings and inputs.

    Attributes:
        step: the step.
        settings: name -> value of each setting in this run.
        inputs: name -> digest of each input artifact.
        classes: those in which the inputs come back; the step may call their methods.
    """

    step: AnyStep
    settings: Mapping[str, object]
    inputs: Mapping[str, str]
    classes: Sequence[type | str] = ()

    @cached_property
    def reach(self) -> CodeReach:
        """The code and packages that the step can reach."""
        # Defaults are settings, filed below.
        return reach(self.step.function, defaults=False, also=self.classes)

    @cached_property
    def setting_prints(self) -> dict[str, str]:
        """Fingerprint of each setting; a path counts by the content of its file."""
        return {name: self._setting_print(name, value) for name, value in self.settings.items()}

    @cached_property
    def digest(self) -> str:
        """The key: equal exactly when the step would do the same again."""
        parts: list[object] = [self.reach.digest, self.setting_prints, dict(self.inputs)]
        if self.step.fans_out:
            parts += [self.step.each, self.step.element, self.step.rows]
        return fingerprint(parts)

    def of_element(self, digest: str) -> str:
        """Return the key of one element: of its content, not of its place among the others."""
        whole = {name: self.inputs[name] for name in self.step.whole}
        element = [self.step.element, digest]
        prints = {
            name: each for name, each in self.setting_prints.items() if name != self.step.element
        }
        return fingerprint([self.reach.digest, prints, whole, element])

    @cached_property
    def _paths(self) -> dict[str, Path]:
        """Where in the settings -> a path."""
        found = (paths_in(value, name) for name, value in self.settings.items())
        return dict(chain.from_iterable(found))

    @cached_property
    def _prints(self) -> dict[Path, str]:
        return {path: path_print(path) for path in set(self._paths.values())}

    def _setting_print(self, name: str, value: object) -> str:
        try:
            if isinstance(value, Path):
                return self._prints[value]
            return fingerprint([kinds(value), with_contents(value, self._prints)])
        except TypeError as error:
            raise UsageError(
                f"the setting {name!r} is a {type(value).__qualname__}, which has no fingerprint",
                where=f"step {self.step.name!r}",
                fix="use numbers, text, lists, dicts, dataclasses or paths as settings",
            ) from error

    def as_record(self) -> dict[str, Any]:
        """Return what is kept of the key, so that a later run can say what changed."""
        return {
            "parts": self.reach.parts,
            "packages": self.reach.packages,
            "blind_spots": self.reach.blind_spots,
            "settings": self.setting_prints,
            "shown": {name: repr(value)[:_SHOWN] for name, value in self.settings.items()},
            "paths": {place: str(path) for place, path in self._paths.items()},
            "path_prints": {place: self._prints[path] for place, path in self._paths.items()},
            "given": self._given(),
        }

    def _given(self) -> dict[str, Any]:
        """Return the settings that are not the defaults, as `--params` takes them."""
        given = {
            name: str(value) if isinstance(value, Path) else value
            for name, value in self.settings.items()
            if value is not self.step.settings.get(name)
        }
        return {name: value for name, value in given.items() if is_json(value)}

    def reasons(self, last: Execution | None) -> list[str]:
        """Say why this step has to run, compared with the last time it gave a result."""
        if last is None:
            return ["first run"]
        if last.key == self.digest:
            return ["its result is no longer in the store"]
        return self.differences(last.reach, last.inputs) or ["the version of Python changed"]

    def differences(self, record: Mapping[str, Any], inputs: Mapping[str, str]) -> list[str]:
        """Say what is not as another key had it, by its record and its inputs."""
        found = self.reach.changes_since(record.get("parts", {}), record.get("packages", {}))
        found += self._changed_settings(record)
        return found + [f"input {name} changed" for name in _changed(inputs, self.inputs)]

    def _changed_settings(self, record: Mapping[str, Any]) -> list[str]:
        old, shown = record.get("settings", {}), record.get("shown", {})
        return [
            f"setting {name}: {_change(shown.get(name, 'none'), self.settings[name])}"
            for name in _changed(old, self.setting_prints)
        ]


def _change(before: str, now: object) -> str:
    if isinstance(now, Path):
        return f"what is at {now.name} changed"
    if before == repr(now)[:_SHOWN]:
        return "what is at its paths changed" if any(paths_in(now)) else "changed further on"
    return f"{before} -> {now!r}"


def _changed(old: Mapping[str, str], new: Mapping[str, str]) -> list[str]:
    return [name for name, value in new.items() if old.get(name) != value]
