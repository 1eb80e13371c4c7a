"""The statistics of `gristmill.validate`, as serving takes them to watch what it serves.

Serving knows statistics only as something that adds up; here is what makes, keeps and compares
them. A bundle may hold what its model was trained on (`bundle_profile` writes it):

    schema.toml     the schema of the training data
    profile/        its statistics, as `Statistics.save` writes them
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import polars as pl

from gristmill.pipeline.lean_statistics import kept
from gristmill.serve.watch.statistician import Change, Compared, Distance
from gristmill.validate import FeatureSpec, Report, Schema, Statistics
from gristmill.validate.kinds import KINDS
from gristmill.validate.statistics.profiler import profile_partition

if TYPE_CHECKING:
    from gristmill.store.bundle import Bundle
    from gristmill.validate import Feature

SCHEMA = "schema.toml"
PROFILE = "profile"
FILES = ("statistics.json", "sketches.bin")
LEAST_ROWS = 200
_NAME = "served"
_TOLD = frozenset(
    {
        *("wrong_type", "missing_values", "empty_column", "presence_change", "unseen_value"),
        *("out_of_range", "not_finite", "length_out_of_range", "pattern_mismatch"),
        *("broken_encoding", "unit_change", "swapped_columns", "constant_column", "all_zero"),
        *("stale_time", "future_time", "drift"),
    }
)
"""What a change may be: requests repeat themselves, so that repeats and keys are no news."""


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
        features = {} if baseline is None else baseline.features
        self._specs = _specs(schema, features)
        named = {name for name, spec in self._specs.items() if spec.domain is not None}
        self._counted = named | {n for n, part in features.items() if part.values is not None}

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
            schema = Schema.parse(bundle.read(SCHEMA).decode(), where=f"{bundle.folder}, {SCHEMA}")
        names = [f"{PROFILE}/{name}" for name in FILES]
        if all(name in files for name in names):
            for name in names:
                bundle.read(name)
            baseline = Statistics.load(bundle.folder / PROFILE)
        return cls(schema, baseline)

    def profile(self, columns: Mapping[str, Sequence[object]]) -> Statistics:
        """Return the statistics of rows, given by column; None is a missing value.

        Only columns that there is something to compare with are looked at.
        """
        frame = pl.DataFrame(
            [
                _typed(pl.Series(name, values, strict=False), self._specs[name].type)
                for name, values in columns.items()
                if name in self._specs
            ]
        )
        kinds = {name: self._specs[name].type for name in frame.columns}
        return kept(profile_partition(frame, _NAME, kinds=kinds, sample_rows=0), self._counted)

    def add(self, one: Statistics, two: Statistics) -> Statistics:
        """Return the statistics of both; as large as those of one."""
        return kept(one + two, self._counted)

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

        As `report`, in the words of serving.
        """
        report = self.report(statistics)
        changes = [
            Change(finding.code, finding.severity, finding.feature or "", finding.message)
            for finding in report.findings
        ]
        distances = [
            Distance(each.feature, each.distance, each.threshold, each.floor, each.alarm, each.over)
            for each in report.drift
        ]
        return Compared(distances, changes, statistics.rows)

    def report(self, statistics: Statistics) -> Report:
        """Check what was served against the schema and the statistics of the training data.

        Only columns that were served are told of: nobody serves the label. Of fewer than 200 rows
        nothing is told: someone may be trying the server out.
        """
        rows = statistics.rows
        if self.schema is None or rows < LEAST_ROWS:
            return Report(_NAME, rows, [])
        served = {n: spec for n, spec in self._specs.items() if n in statistics.features}
        schema = msgspec.structs.replace(self.schema, features=served, rules={})
        report = schema.check(statistics, baseline=self.baseline)
        told = [
            finding
            for finding in report.findings
            if finding.feature is not None and finding.code in _TOLD
        ]
        return replace(report, findings=told)


def _typed(column: pl.Series, kind: str) -> pl.Series:
    """Return floats that are all whole as the integers that a column is known for."""
    if kind != "int" or not column.dtype.is_float() or not column.is_finite().all():
        return column
    whole = column.cast(pl.Int64, strict=False)
    return whole if bool((whole == column).all()) else column


def _specs(schema: Schema | None, features: Mapping[str, Feature]) -> dict[str, FeatureSpec]:
    """Return what is expected of each column; of answers, only that they do not drift."""
    specs = dict(schema.features) if schema is not None else {}
    return {name: _drifting(part) for name, part in features.items()} | specs


def _drifting(feature: Feature) -> FeatureSpec:
    kind = next((kind for kind in KINDS if kind == feature.kind), None)
    return FeatureSpec(type=kind or "any")
