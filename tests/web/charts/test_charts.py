"""What holds for every chart; the figures of each kind are tested beside it."""

from __future__ import annotations

import math
import re
import xml.etree.ElementTree as ET
from collections.abc import Callable

import pytest

from gristmill.web.charts import (
    Estimate,
    Source,
    bar_chart,
    calibration_curve,
    heat_map,
    histogram_pair,
    interval_plot,
    line_chart,
    source_plot,
    sparkline,
)

Draw = Callable[[str, float, int], str]

CHARTS: dict[str, Draw] = {
    "line": lambda name, value, width: line_chart(
        {name: [(0, 1.0), (1, value), (2, 3.0)]}, title=name, x_name=name, y_name=name, width=width
    ),
    "bars": lambda name, value, width: bar_chart(
        [(name, value), ("b", 2.0)], title=name, width=width
    ),
    "interval": lambda name, value, width: interval_plot(
        [Estimate(name, value, value, value), Estimate("b", 0.5)],
        title=name,
        x_name=name,
        reference=(name, 0.4),
        width=width,
    ),
    "histogram": lambda name, value, width: histogram_pair(
        [0, 1, 5], [3, 4], [1, 1], title=name, names=(name, "b"), x_name=name, width=width
    ),
    "sparkline": lambda name, value, width: sparkline([1, value, 2], title=name, width=width),
    "calibration": lambda name, value, width: calibration_curve(
        [(0.2, value, 10), (0.8, 0.7, 5)], title=name, x_name=name, width=width
    ),
    "heatmap": lambda name, value, width: heat_map(
        [name, "b"], [[1.0, value], [value, 1.0]], title=name, width=width
    ),
    "sources": lambda name, value, width: source_plot(
        [Source(name, 0.5, 0.3, 0.1, 0.9, value, 1.0), Source("b", 0.1)], title=name, width=width
    ),
}


@pytest.fixture(params=CHARTS)
def draw(request: pytest.FixtureRequest) -> Draw:
    return CHARTS[request.param]


@pytest.mark.parametrize("value", [0.5, 0.0, math.nan, math.inf, -math.inf, 1e300, -1e-300])
@pytest.mark.parametrize("width", [345, 800])
def test_any_value_gives_finite_coordinates(draw: Draw, value: float, width: int) -> None:
    picture = draw("name", value, width)
    ET.fromstring(picture)
    assert not re.search(r'="[^"]*\b(nan|inf)\b[^"]*"', picture.partition("</desc>")[2])


def test_any_name_gives_well_formed_xml(draw: Draw, hostile: str) -> None:
    root = ET.fromstring(draw(hostile, 0.5, 800))
    assert root.attrib["role"] == "img"
    assert [child.tag for child in root][:2] == ["title", "desc"]
    assert not {"script", "img"} & {shape.tag for shape in root.iter()}


def test_the_description_tells_the_figures(draw: Draw) -> None:
    description = ET.fromstring(draw("name", 0.5, 800)).findtext("desc") or ""
    assert re.search(r"\d", description)


def test_nothing_to_draw_is_drawn() -> None:
    empty = [
        line_chart({}, title="t"),
        line_chart({"a": []}, title="t", best={"a": 3}),
        bar_chart([], title="t"),
        interval_plot([], title="t"),
        histogram_pair([0, 1], [0], title="t"),
        sparkline([], title="t"),
        calibration_curve([], title="t"),
        heat_map([], [], title="t"),
        source_plot([], title="t"),
    ]
    for picture in empty:
        ET.fromstring(picture)
