"""Two tables side by side, from their statistics alone: every distance, and every change."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from gristmill.validate.chance import level_for
from gristmill.validate.drifts.comparators import Measures, Role, exceeded
from gristmill.validate.drifts.correlations import broken_correlations
from gristmill.validate.drifts.degenerate import constant, lost_decimals
from gristmill.validate.drifts.drift import Drift, measure, moved_by_chance
from gristmill.validate.drifts.moved_codes import moved_by_one
from gristmill.validate.drifts.pairs import Pair, unexplained
from gristmill.validate.drifts.presence import presence_changes
from gristmill.validate.drifts.row_shifts import row_shifts
from gristmill.validate.drifts.sentinel_shifts import new_sentinels
from gristmill.validate.drifts.shift import Shift as Shift
from gristmill.validate.drifts.shift import Told as Told
from gristmill.validate.drifts.swaps import swapped_columns
from gristmill.validate.drifts.time_shifts import shifted_times
from gristmill.validate.drifts.units import unit_change
from gristmill.validate.schemas.feature_spec import FeatureSpec
from gristmill.validate.schemas.table_spec import TableSpec
from gristmill.validate.statistics.statistics import Statistics

_EXPLAINED = 0.8
_MEANS_SHIFT = ("unit_change", "swapped_columns", "stale_time", "constant_column", "all_zero")


@dataclass(frozen=True)
class Comparison:
    """What comparing two tables gave.

    Attributes:
        drifts: the distance of every feature that both have, alarming or not.
        shifts: what has changed, the table as a whole first, then feature by feature.
    """

    drifts: list[Drift] = field(default_factory=list)
    shifts: list[Shift] = field(default_factory=list)


def compare(
    baseline: Statistics,
    current: Statistics,
    features: Mapping[str, FeatureSpec],
    table: TableSpec,
    told: Mapping[str, Told] | None = None,
    *,
    role: Role = "drift_comparator",
    tfdv_measures: Measures | None = None,
) -> Comparison:
    """Compare a table with its baseline: what has changed that matters and that chance does not do.

    The checks of one kind share one level (`chance.REPORT_LEVEL`), divided by their number, so that
    a clean table of 2,000 columns is as silent as one of ten. A change is told once, by the most
    telling name that fits: a column in another unit is a `unit_change` and no `drift` as well.

    Args:
        baseline, current: statistics of both tables, of columns cast to the types of the schema.
        features: what is expected of each column, of one environment.
        told: what other findings say of a feature already.
        role: which comparator of the schema applies: the baseline is an earlier table ("drift") or
            what a model is served ("skew").
        tfdv_measures: computes TFDV's own figures, where `table.comparators` is "tfdv".
    """
    if not baseline.rows or not current.rows:
        return Comparison()
    known = told or {}
    shared = [n for n in features if n in baseline.features and n in current.features]
    level = level_for(len(shared))
    pairs = [_pair(n, baseline, current, features[n], known.get(n, Told()), level) for n in shared]
    theirs = tfdv_measures if table.comparators == "tfdv" else None
    swaps = swapped_columns(pairs, level)
    shifts = [*row_shifts(baseline, current, table), *_control(baseline, current, features, role)]
    for pair in pairs:
        mine = [shift for shift in swaps if shift.feature == pair.name]
        mine += list(_of_feature(pair, level)) if not mine else []
        mine += [] if mine and mine[0].code in _MEANS_SHIFT else list(_drifted(pair, mine))
        shifts += [*mine, *exceeded(pair, role, level, theirs)]
    changed = {s.feature for s in shifts if s.feature} | {p.name for p in pairs if p.moved}
    samples = baseline.sample, current.sample
    before, after = (None if sample is None else sample.frame for sample in samples)
    shifts += broken_correlations(before, after, shared, table.correlation, changed)
    return Comparison([p.drift for p in pairs if p.drift is not None], shifts)


def _pair(
    name: str,
    baseline: Statistics,
    current: Statistics,
    spec: FeatureSpec,
    told: Told,
    level: float,
) -> Pair:
    before, after = baseline.features[name], current.features[name]
    drift = measure(name, *unexplained(before, after, told), spec.drift, level)
    return Pair(name, before, after, spec, told, drift)


def _control(
    baseline: Statistics, current: Statistics, features: Mapping[str, FeatureSpec], role: Role
) -> Iterator[Shift]:
    for name, spec in features.items():
        limited = getattr(spec, role) is not None
        if limited and name in current.features and name not in baseline.features:
            message = "the schema limits its distance to the baseline, which does not have it"
            yield Shift("control_missing", name, message)


def _of_feature(pair: Pair, level: float) -> Iterator[Shift]:
    """Yield what explains a feature's change, the first that explains all of it alone."""
    whole = next(_first(pair, level), None)
    if whole is not None:
        yield whole
    else:
        yield from presence_changes(pair, level)
        yield from _untold(pair, new_sentinels(pair, level))


def _first(pair: Pair, level: float) -> Iterator[Shift]:
    checks: Sequence[Callable[[], Shift | None]] = (
        lambda: constant(pair, level),
        lambda: unit_change(pair, level),
        lambda: shifted_times(pair),
        lambda: lost_decimals(pair, level),
        lambda: moved_by_one(pair, level),
    )
    yield from (shift for check in checks if (shift := check()) is not None)


def _untold(pair: Pair, shifts: Iterable[Shift]) -> Iterator[Shift]:
    """Leave out values that the schema does not allow: each has been told of as a cell."""
    yield from (shift for shift in shifts if pair.told.moved < _EXPLAINED * shift.count)


def _drifted(pair: Pair, mine: Sequence[Shift]) -> Iterator[Shift]:
    """Yield the drift of a feature, less what other shifts and findings have moved."""
    drift = pair.drift
    if any(shift.code == "presence_change" for shift in mine):
        before, after = unexplained(pair.before, pair.after, Told(missing=1))
        drift = measure(pair.name, before, after, pair.spec.drift)
    if drift is None or not drift.alarm:
        return
    if any(shift.code == "lost_decimals" for shift in mine) and _only_rounded(pair):
        return
    told = pair.told.moved + sum(s.count for s in mine if s.code == "sentinel_value")
    # Some of what has moved is chance; a few bad cells must not hide a shift all the same.
    moved = drift.moved - moved_by_chance(drift)
    if told / max(1, drift.current_rows) < _EXPLAINED * moved:
        rows = drift.current_rows
        yield Shift("drift", pair.name, _message(pair, drift), drift, None, rows, rows)


def _only_rounded(pair: Pair) -> bool:
    """Whether the mean moved by no more than rounding whole numbers down moves it."""
    return pair.numbers is not None and abs(pair.numbers[0].mean - pair.numbers[1].mean) <= 1


def _message(pair: Pair, drift: Drift) -> str:
    over = "" if drift.over in ("numbers", "values", "times") else f" of {drift.over}"
    chance = f"chance reaches {drift.floor:.3f}"
    if drift.distance <= drift.floor and drift.rise is not None:
        way = "rose" if drift.rise > 0 else "fell"
        chance = f"the numbers {way} ({drift.rise:+.2f}, chance reaches {drift.rise_floor:.2f})"
    moves = zip(drift.bins, drift.baseline, drift.current, strict=True)
    name, old, new = max(moves, key=lambda move: abs(move[2] - move[1]))
    unit = pair.unit if drift.over == "numbers" and name.startswith("<=") else ""
    return (
        f"the distribution{over} has shifted: distance {drift.distance:.3f}, more than "
        f"{drift.threshold:g} matters and {chance} "
        f"(most: {name}{unit}: {100 * old:.1f} % -> {100 * new:.1f} %)"
    )
