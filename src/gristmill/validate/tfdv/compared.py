"""TFDV's own distances between two states of ours, for schemas that ask for those."""

from __future__ import annotations

from gristmill.validate.drifts.comparators import Measure
from gristmill.validate.schemas.comparator import Comparator
from gristmill.validate.schemas.feature_spec import FeatureSpec
from gristmill.validate.statistics.feature import Feature
from gristmill.validate.tfdv.comparator_conditions import measure
from gristmill.validate.tfdv.feature_statistics import write_feature
from gristmill.validate.tfdv.figures import Figures
from gristmill.validate.tfdv.spec_writer import write_spec

_NAMES: dict[str, Measure] = {
    "L_INFTY": "infinity_norm",
    "JENSEN_SHANNON_DIVERGENCE": "jensen_shannon",
    "NORMALIZED_ABSOLUTE_DIFFERENCE": "normalized_abs_difference",
}


def tfdv_measures(
    control: Feature, treatment: Feature, comparator: Comparator
) -> dict[Measure, float]:
    """Return the figures that TFDV would compare with a comparator's limits.

    For `check(..., tfdv_measures=...)` with `table.comparators = "tfdv"`. A limit on shares of
    numbers measures 0 here, as in TFDV, which counts values of texts alone.

    Args:
        control: the previous data, or serving data.
        treatment: the current data, or training data.
        comparator: what is limited.
    """
    limits = write_spec("", FeatureSpec(type="any", drift_comparator=comparator), (), ())
    before, after = (
        Figures(write_feature("", side), side.rows, weighted=False) for side in (control, treatment)
    )
    found = measure(after, before, "previous", limits.drift_comparator)
    return {_NAMES[each.measure]: each.value for each in found}
