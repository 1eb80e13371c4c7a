"""TFDV's anomalies files: what was found, by feature."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from tensorflow_metadata.proto.v0 import anomalies_pb2

from gristmill.validate.checks.findings import SEVERITIES, Finding
from gristmill.validate.checks.report import Report, by_severity
from gristmill.validate.schemas.feature_spec import Severity
from gristmill.validate.schemas.schema import Schema
from gristmill.validate.tfdv.anomaly_types import code_of, type_of
from gristmill.validate.tfdv.comparator_conditions import Measurement
from gristmill.validate.tfdv.messages import read_message, write_message
from gristmill.validate.tfdv.reasons import TfdvAnomaly
from gristmill.validate.tfdv.schema_files import to_message

_Info = anomalies_pb2.AnomalyInfo
_SEVERITIES: dict[int, Severity] = {_Info.ERROR: "error", _Info.WARNING: "warning"}
_LEVELS = {"error": _Info.ERROR, "warning": _Info.WARNING, "info": _Info.WARNING}
_MISSING = "data_missing"


def export_anomalies(
    found: Report | Sequence[TfdvAnomaly],
    path: str | Path,
    *,
    schema: Schema | None = None,
    measurements: Sequence[Measurement] = (),
) -> None:
    """Write a report, or TFDV's own verdict, as TFDV's anomalies.

    A finding that TFDV has no type for (duplicate rows, a constant column, ...) is a
    `CUSTOM_VALIDATION` with our code as its short description.

    Args:
        found: what `check` or `anomalies` gave.
        path: `.pbtxt` is text, other endings are bytes.
        schema: what was checked against; it makes types exact and is the file's baseline.
        measurements: distances to record beside.
    """
    message = anomalies_pb2.Anomalies(anomaly_name_format=anomalies_pb2.Anomalies.SERIALIZED_PATH)
    if schema is not None:
        message.baseline.CopyFrom(to_message(schema))
    for anomaly, severity in _reasons(found, schema):
        if anomaly.type == _MISSING:
            message.data_missing = True
        else:
            _add(message, anomaly, _LEVELS[severity])
    for info in (*message.anomaly_info.values(), message.dataset_anomaly_info):
        _unite(info)
    if not message.dataset_anomaly_info.reason:
        message.ClearField("dataset_anomaly_info")
    _put_measurements(message, measurements)
    write_message(message, path)


def import_anomalies(path: str | Path) -> Report:
    """Read TFDV's anomalies as a report: each reason is a finding, without rows or counts.

    Raises:
        UsageError: no such file.
        DataError: the file is damaged or holds something else.
    """
    message = read_message(path, anomalies_pb2.Anomalies)
    findings = [
        finding
        for name, info in sorted(message.anomaly_info.items())
        for finding in _findings(".".join(info.path.step) or name, info)
    ]
    findings += _findings(None, message.dataset_anomaly_info)
    if message.data_missing:
        findings.append(Finding("no_data", SEVERITIES["no_data"], None, "there are no rows"))
    return Report(Path(path).stem, 0, by_severity(findings))


def _reasons(
    found: Report | Sequence[TfdvAnomaly], schema: Schema | None
) -> Iterator[tuple[TfdvAnomaly, Severity]]:
    if not isinstance(found, Report):
        for anomaly in found:
            yield anomaly, "error"
        return
    specs = {} if schema is None else schema.features
    for each in found.findings:
        kind = type_of(each, specs.get(each.feature or ""))
        yield TfdvAnomaly(each.feature, kind, each.code, each.message), each.severity


def _add(message: anomalies_pb2.Anomalies, anomaly: TfdvAnomaly, severity: int) -> None:
    if anomaly.feature is None:
        info = message.dataset_anomaly_info
    else:
        info = message.anomaly_info[anomaly.feature]
        info.path.step[:] = [anomaly.feature]
    info.severity = max(info.severity, severity)
    info.reason.add(
        type=_Info.Type.Value(anomaly.type),
        short_description=anomaly.short,
        description=anomaly.description,
    )


def _unite(info: anomalies_pb2.AnomalyInfo) -> None:
    """Several reasons of one feature are told together, as TFDV does."""
    if not info.reason:
        return
    info.description = " ".join(each.description for each in info.reason)
    many = len(info.reason) > 1
    info.short_description = "Multiple errors" if many else info.reason[0].short_description


def _put_measurements(
    message: anomalies_pb2.Anomalies, measurements: Sequence[Measurement]
) -> None:
    kinds = anomalies_pb2.DriftSkewInfo.Measurement.Type
    infos: dict[str, anomalies_pb2.DriftSkewInfo] = {}
    for each in measurements:
        if each.feature not in infos:
            infos[each.feature] = message.drift_skew_info.add()
            infos[each.feature].path.step.append(each.feature)
        info = infos[each.feature]
        side = info.drift_measurements if each.against == "previous" else info.skew_measurements
        side.add(type=kinds.Value(each.measure), value=each.value, threshold=each.threshold)


def _findings(feature: str | None, info: anomalies_pb2.AnomalyInfo) -> Iterator[Finding]:
    severity = _SEVERITIES.get(info.severity, "error")
    for each in info.reason:
        code = code_of(_Info.Type.Name(each.type))
        told = each.description or each.short_description
        yield Finding(code, severity, feature, told)
