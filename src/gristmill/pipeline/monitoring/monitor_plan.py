"""What is monitored, when a finding is one, and what is done about it.

The table `[monitor]` of `gristmill.toml`:

    [monitor]
    model = "spam"
    served = "serving/served"
    on_drift = "retrain"
    pipeline = "pipeline.py"
    cool_down = "1d"
    budget = "4 per 30d"
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, Self, TypeAlias

import msgspec

from gristmill.core.errors import UsageError
from gristmill.core.paired import METRICS
from gristmill.core.quantities import parse_seconds
from gristmill.core.suggestion import check_keys, did_you_mean
from gristmill.pipeline.monitoring.budget import Budget
from gristmill.pipeline.monitoring.codes import CODES, CURED, FAULTS
from gristmill.store.decision import CHAMPION
from gristmill.store.registry import check_alias

Duration: TypeAlias = float | str
"""Seconds: a number, or a text such as "12h"."""
_WHERE = "gristmill.toml, [monitor]"


class MonitorPlan(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is monitored, when a finding is one, and what is done about it.

    Attributes:
        model: a registered model; may be left out where there is one alone.
        alias: which of its aliases answers.
        served: the folder that the server keeps what was served in; by default `served` in the
            folder that the serving file names.
        serving: the serving file that says where that is.
        hours: how many hours of what was served are compared, the present one included.
        truth_within: predictions of so long ago are compared with the truth.
        min_truth: of fewer rows with truth nothing is said of quality and calibration.
        metric: the figure of quality; by default the one that the gate decided by, else accuracy.
        positive: the class that the figure is about; by default the gate's.
        max_loss: how much worse than at the gate matters, as a share of the figure then.
        floor: what the figure must reach, whatever it was (what it must not be above, where less
            is better).
        max_calibration_error: the expected calibration error that matters.
        stale_after: age of the model, or of the newest time in its training data, that is old.
        silent_after: time without anything served that is told.
        truth_after: time by which the truth should be in.
        on_drift: `tell` of findings, or `retrain`.
        retrain_on: codes of findings that begin a retraining.
        hold_on: codes of findings that hold one back: faults that a model must not learn.
        pipeline: the file that is run, relative to the project.
        force: steps of it that run though they are up to date, as those that fetch data.
        cool_down: least time from one retraining to the next.
        budget: most retrainings in a period, `4 per 30d`.

    Raises:
        UsageError: a value that makes no sense.
    """

    model: str = ""
    alias: str = CHAMPION
    served: str = ""
    serving: str = ""
    hours: int = 24
    truth_within: Duration = "30d"
    min_truth: int = 100
    metric: str = ""
    positive: str = ""
    max_loss: float = 0.05
    floor: float | None = None
    max_calibration_error: float = 0.1
    stale_after: Duration | None = None
    silent_after: Duration = "1d"
    truth_after: Duration | None = None
    on_drift: Literal["tell", "retrain"] = "tell"
    retrain_on: tuple[str, ...] = CURED
    hold_on: tuple[str, ...] = FAULTS
    pipeline: str = "pipeline.py"
    force: tuple[str, ...] = ()
    cool_down: Duration = "1d"
    budget: str = "4 per 30d"

    def __post_init__(self) -> None:
        check_alias(self.alias)
        Budget.parse(self.budget)
        for name in ("truth_within", "stale_after", "silent_after", "truth_after", "cool_down"):
            value = getattr(self, name)
            if value is not None and parse_seconds(value) < 0:
                raise UsageError(f"{name}: expected a duration, found {value!r}")
        if self.metric and self.metric not in METRICS:
            raise UsageError(
                f"metric: unknown {self.metric!r}", fix=f"use one of {', '.join(METRICS)}"
            )
        for name in ("hours", "min_truth"):
            if getattr(self, name) < 1:
                raise UsageError(f"{name}: expected at least 1, found {getattr(self, name)}")
        for name in ("max_loss", "max_calibration_error"):
            if getattr(self, name) < 0:
                raise UsageError(f"{name}: expected at least 0, found {getattr(self, name)}")
        for name in ("retrain_on", "hold_on"):
            for code in getattr(self, name):
                _check_code(name, code)
        if self.served and self.serving:
            raise UsageError(
                "expected either served or serving, found both",
                fix="serving names a serving file, served the folder itself",
            )

    @classmethod
    def parse(cls, table: Mapping[str, Any], where: str = _WHERE) -> Self:
        """Read the table `[monitor]`.

        Raises:
            UsageError: an unknown key, or a value that makes no sense; names the key.
        """
        check_keys(table, cls.__struct_fields__, where)
        try:
            return msgspec.convert(table, cls)
        except msgspec.ValidationError as error:
            raise UsageError(_plain(str(error), table), where=where) from error
        except UsageError as error:
            raise UsageError(error.message, where=where, fix=error.fix) from error

    def seconds(self, name: str) -> float | None:
        """Return a duration in seconds; None where there is none."""
        value = getattr(self, name)
        return None if value is None else parse_seconds(value)

    def served_folder(self, root: Path) -> Path:
        """Return the folder of all that was served, of a project in `root`.

        Raises:
            UsageError: the serving file cannot be read.
        """
        if self.served:
            return root / self.served
        from gristmill.serve.server.serving_file import read_plan
        from gristmill.serve.server.serving_plan import ServingPlan

        file = root / (self.serving or "serving.toml")
        if self.serving or file.is_file():
            return read_plan(file).served_folder
        return root / ServingPlan(models={}).served_folder


def _check_code(name: str, code: str) -> None:
    if code not in CODES:
        raise UsageError(
            f"{name}: unknown finding {code!r}",
            fix=did_you_mean(code, CODES, "`gristmill monitor --help` lists them"),
        )


def _plain(text: str, table: Mapping[str, Any]) -> str:
    """Put what msgspec says into our words: `max_loss: expected `float`, found `str``."""
    what, _, place = text.partition(" - at `$.")
    key = place.rstrip("`")
    if what.startswith("Invalid enum value"):
        return f"{key}: expected tell or retrain, found {table[key]!r}"
    what = what.replace(", got ", ", found ").replace(" | null", "")
    return f"{key}: {what[0].lower()}{what[1:]}" if key else what
