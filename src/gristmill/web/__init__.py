"""The web room: pages that show runs, labels, data, training and serving.

Pages are self-contained files: the report of a run, built from plain data, so that any stage's
results, or none of ours, can be shown; and the page for the people who label.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gristmill.core.lazy import lazy_exports

if TYPE_CHECKING:
    from gristmill.web import blocks as blocks
    from gristmill.web import charts as charts
    from gristmill.web import sections as sections
    from gristmill.web import svg as svg
    from gristmill.web.labelling_page import label_page as label_page
    from gristmill.web.lineage import Node as Node
    from gristmill.web.lineage import lineage_drawing as lineage_drawing
    from gristmill.web.report import Report as Report
    from gristmill.web.report import Section as Section
    from gristmill.web.run_overview import StepRow as StepRow
    from gristmill.web.run_overview import run_page as run_page
    from gristmill.web.validation.page import write_profile_page as write_profile_page
    from gristmill.web.validation.page import write_validation_page as write_validation_page

_EXPORTS = {
    "Node": "lineage",
    "Report": "report",
    "Section": "report",
    "StepRow": "run_overview",
    "blocks": "",
    "charts": "",
    "label_page": "labelling_page",
    "lineage_drawing": "lineage",
    "run_page": "run_overview",
    "sections": "",
    "svg": "",
    "write_profile_page": "validation.page",
    "write_validation_page": "validation.page",
}
__getattr__, __dir__, __all__ = lazy_exports(__name__, _EXPORTS)
