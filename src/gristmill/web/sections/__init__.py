"""Ready-made sections: each adds one stage's results to a report, from plain data."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gristmill.core.lazy import lazy_exports

if TYPE_CHECKING:
    from gristmill.web.sections.comparison import comparison_section as comparison_section
    from gristmill.web.sections.error_buckets import buckets_section as buckets_section
    from gristmill.web.sections.findings import findings_section as findings_section
    from gristmill.web.sections.labelling import labelling_section as labelling_section
    from gristmill.web.sections.lineage import lineage_section as lineage_section
    from gristmill.web.sections.profile import profile_section as profile_section
    from gristmill.web.sections.row_groups import row_groups_section as row_groups_section
    from gristmill.web.sections.serving import serving_section as serving_section
    from gristmill.web.sections.training import training_section as training_section

_EXPORTS = {
    "buckets_section": "error_buckets",
    "comparison_section": "comparison",
    "findings_section": "findings",
    "labelling_section": "labelling",
    "lineage_section": "lineage",
    "profile_section": "profile",
    "row_groups_section": "row_groups",
    "serving_section": "serving",
    "training_section": "training",
}
__getattr__, __dir__, __all__ = lazy_exports(__name__, _EXPORTS)
