"""Charts: plain numbers in, one SVG drawing out, each kind in the file of its name."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gristmill.core.lazy import lazy_exports

if TYPE_CHECKING:
    from gristmill.web.charts.bars import bar_chart as bar_chart
    from gristmill.web.charts.calibration import calibration_curve as calibration_curve
    from gristmill.web.charts.heatmap import heat_map as heat_map
    from gristmill.web.charts.histogram import histogram_pair as histogram_pair
    from gristmill.web.charts.interval import Estimate as Estimate
    from gristmill.web.charts.interval import interval_plot as interval_plot
    from gristmill.web.charts.line import line_chart as line_chart
    from gristmill.web.charts.sources import Source as Source
    from gristmill.web.charts.sources import source_plot as source_plot
    from gristmill.web.charts.sparkline import sparkline as sparkline

_EXPORTS = {
    "Estimate": "interval",
    "Source": "sources",
    "bar_chart": "bars",
    "calibration_curve": "calibration",
    "heat_map": "heatmap",
    "histogram_pair": "histogram",
    "interval_plot": "interval",
    "line_chart": "line",
    "source_plot": "sources",
    "sparkline": "sparkline",
}
__getattr__, __dir__, __all__ = lazy_exports(__name__, _EXPORTS)
