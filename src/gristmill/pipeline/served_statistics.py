"""The statistics of `gristmill.validate`, as serving takes them to watch what it serves.

Serving knows statistics only as something that adds up; here is what makes, keeps and compares
them. A bundle may hold what its model was trained on:

    schema.toml     the schema of the training data
    profile/        its statistics, as `Statistics.save` writes them
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl

from gristmill.serve.watch.served_profile import Change, Compared, Distance
from gristmill.validate import Schema, Statistics
from gristmill.validate.statistics.profiler import profile_partition

if TYPE_CHECKING:
    from gristmill.store.bundle import Bundle

SCHEMA = "schema.toml"
PROFILE = "profile"
_FILES = ("statistics.json", "sketches.bin")
_SAMPLE_ROWS = 512
_NAME = "served"


class ServedStatistics:
    """A statistician for `gristmill.serve.watch`: profiles rows, compares with the training data.

    Args:
        schema: of the training data; inferred from `baseline` where there is none.
        baseline: the statistics of the training data; without them only the schema is checked.
    """

    def __init__(self, schema: Schema | None = None, baseline: Statistics | None = None) -> None:
        if schema is None and baseline is not None:
            schema = Schema.infer(baseline)
        self.schema, self.baseline = schema, baseline

    @classmethod
    def of(cls, bundle: Bundle) -> ServedStatistics:
        """Return the one that compares with what a bundle says of its training data.

        Raises:
            BundleError: a file was changed since the bundle was opened.
            DataError: the statistics cannot be read.
            UsageError: the schema cannot be read.
        """
        files = bundle.manifest.files
        schema = baseline = None
        if SCHEMA in files:
            bundle.read(SCHEMA)
            schema = Schema.read(bundle.folder / SCHEMA)
        names = [f"{PROFILE}/{name}" for name in _FILES]
        if all(name in files for name in names):
            for name in names:
                bundle.read(name)
            baseline = Statistics.load(bundle.folder / PROFILE)
        return cls(schema, baseline)

    def profile(self, columns: Mapping[str, Sequence[object]]) -> Statistics:
        """Return the statistics of rows, given by column; None is a missing value."""
        frame = pl.DataFrame(
            [pl.Series(name, values, strict=False) for name, values in columns.items()]
        )
        kinds = None
        if self.schema is not None:
            known = self.schema.features
            kinds = {name: known[name].type for name in columns if name in known}
        return profile_partition(frame, _NAME, kinds=kinds, sample_rows=_SAMPLE_ROWS)

    def save(self, statistics: Statistics, folder: Path) -> None:
        """Write statistics into a folder."""
        statistics.save(folder)

    def load(self, folder: Path) -> Statistics:
        """Read what `save` wrote.

        Raises:
            DataError: it is damaged, or of another version.
        """
        return Statistics.load(folder)

    def compare(self, statistics: Statistics) -> Compared:
        """Check what was served against the schema and the statistics of the training data.

        Only columns that were served are told of: nobody serves the label.
        """
        if self.schema is None:
            return Compared([], [])
        report = self.schema.check(statistics, baseline=self.baseline)
        changes = [
            Change(finding.code, finding.severity, finding.feature, finding.message)
            for finding in report.findings
            if finding.feature in statistics.features and finding.code != "new_column"
        ]
        distances = [
            Distance(drift.feature, drift.distance, drift.threshold, drift.floor, drift.alarm)
            for drift in report.drift
        ]
        return Compared(distances, changes)
