"""A checked table whose every text can be chosen, and its page."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import polars as pl
import pytest

from gristmill.validate.checks.findings import Evidence, Finding
from gristmill.validate.checks.report import Report
from gristmill.validate.drifts.drift import measure
from gristmill.validate.schemas.edit import Edit
from gristmill.validate.statistics.profiler import profile
from gristmill.validate.statistics.statistics import Statistics


class Checked(NamedTuple):
    """A report with the statistics of both tables."""

    report: Report
    current: Statistics
    baseline: Statistics


Check = Callable[..., Checked]


def _table(rows: int, seed: int, text: str, shift: float, columns: int) -> pl.DataFrame:
    rng = np.random.default_rng(seed)
    text = text.encode("utf-8", "replace").decode()  # a table holds no lone surrogate
    frame = pl.DataFrame(
        {
            f"price{text}": rng.gamma(2.0, 10.0, rows) * (1 + shift),
            f"paid{text}": rng.choice([f"cash{text}", f"card{text}", ""], rows, p=[0.6, 0.3, 0.1]),
            "note": [f"{row} {text}{'x' * (row % 7)}" for row in range(rows)],
            "day": pl.Series(rng.integers(0, 300, rows)).cast(pl.Date),
            "tips": rng.integers(0, 3, rows) * (0 if shift else 1),
            "gaps": pl.Series(np.where(rng.random(rows) < 0.05 + shift, np.nan, 1.5)).fill_nan(
                None
            ),
        }
    )
    more = {f"more_{at:04d}": rng.normal(size=rows) for at in range(columns - frame.width)}
    return frame.with_columns(**more) if more else frame


def _checked(text: str = "", rows: int = 400, columns: int = 6, shift: float = 0.6) -> Checked:
    before = profile(_table(rows, 1, text, 0.0, columns), name=f"before{text}")
    now = profile(_table(rows, 2, text, shift, columns), name=f"now{text}")
    drift = [
        found
        for name, feature in now.features.items()
        if (found := measure(name, before.features[name], feature)) is not None
    ]
    first = drift[0]
    findings = [
        Finding("new_column", "warning", "gone", f"the schema does not know it {text}"),
        Finding(
            "drift",
            "error",
            first.feature,
            f"the distribution has shifted {text}",
            Evidence(distribution=first),
            Edit(first.feature, "drift", 0.1, 0.4),
        ),
        Finding(
            "unseen_value",
            "error",
            f"paid{text}",
            f"3 of 400 cells are outside the domain: {text}",
            Evidence(3, rows, (4, 7, 9), (text, "b")),
            Edit(f"paid{text}", "domain", ["a", "b"], ["b", text]),
        ),
        Finding("duplicate_rows", "info", None, "2 rows repeat", Evidence(2, rows, (1, text or 2))),
    ]
    return Checked(Report(now.name, rows, findings, drift), now, before)


@pytest.fixture
def checked() -> Check:
    """Build a report: `checked(text, rows, columns, shift)`."""
    return _checked
