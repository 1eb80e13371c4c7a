"""The geometry of each chart, checked on figures small enough to work out by hand."""

from __future__ import annotations

import xml.etree.ElementTree as ET

import pytest

from gristmill.core.errors import UsageError
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


def shapes(picture: str, tag: str, class_: str) -> list[dict[str, str]]:
    wanted = set(class_.split())
    return [
        shape.attrib
        for shape in ET.fromstring(picture).iter(tag)
        if wanted <= set(shape.attrib.get("class", "").split())
    ]


def numbers(found: list[dict[str, str]], key: str) -> list[float]:
    return [float(shape[key]) for shape in found]


def test_bars_are_as_long_as_their_values() -> None:
    picture = bar_chart([("a", 10.0), ("b", 5.0), ("c", -10.0)], title="t")
    bars = shapes(picture, "rect", "bar")
    full, half, below = numbers(bars, "width")
    assert (half, below) == pytest.approx((full / 2, full), abs=0.02)
    assert float(bars[2]["x"]) + below == pytest.approx(float(bars[0]["x"]), abs=0.02)


def test_a_full_bar_can_be_given() -> None:
    alone = numbers(shapes(bar_chart([("a", 0.5)], title="t"), "rect", "bar"), "width")
    of_one = numbers(
        shapes(bar_chart([("a", 0.5)], title="t", highest=1.0), "rect", "bar"), "width"
    )
    assert of_one == pytest.approx([alone[0] / 2], abs=0.02)


def test_lines_break_where_values_are_missing() -> None:
    points = [(1, 1.0), (2, 2.0), (3, None), (4, 4.0), (5, 5.0), (6, float("nan")), (7, 7.0)]
    picture = line_chart({"a": points}, title="t", best={"a": 5})
    assert len(shapes(picture, "polyline", "line")) == 2
    assert len(shapes(picture, "circle", "dot")) == 1
    assert len(shapes(picture, "circle", "ring")) == 1


def test_the_ring_sits_on_its_point() -> None:
    picture = line_chart({"a": [(0, 3.0), (1, 1.0), (2, 2.0)]}, title="t", best={"a": 1})
    (ring,) = shapes(picture, "circle", "ring")
    (line,) = shapes(picture, "polyline", "line")
    assert f"{ring['cx']},{ring['cy']}" == line["points"].split()[1]


def test_estimates_are_sorted_and_stand_within_their_whiskers() -> None:
    picture = interval_plot(
        [Estimate("low", 0.2, 0.1, 0.3), Estimate("high", 0.8, 0.7, 0.95)],
        title="t",
        highlight="high",
        reference=("low", 0.2),
    )
    dots = shapes(picture, "circle", "dot")
    assert [dot["class"] for dot in dots] == ["dot s2", "dot s1"]
    whiskers = [line for line in shapes(picture, "line", "whisker") if line["y1"] == line["y2"]]
    for dot, whisker in zip(dots, whiskers, strict=True):
        assert float(whisker["x1"]) < float(dot["cx"]) < float(whisker["x2"])
    (reference,) = shapes(picture, "line", "reference")
    assert reference["x1"] == dots[1]["cx"]


def test_histogram_areas_are_shares() -> None:
    picture = histogram_pair([0, 1, 4], [10, 30], [40, 0], title="t")
    bars = shapes(picture, "rect", "bar")
    # Both bins have the same rows per unit, so bars of the same height, one three times as wide.
    heights, widths = numbers(bars, "height"), numbers(bars, "width")
    assert heights[0] == pytest.approx(heights[1], abs=0.02)
    assert (widths[1] + 1) / (widths[0] + 1) == pytest.approx(3, rel=1e-3)
    assert len(shapes(picture, "polyline", "line s2")) == 1


@pytest.mark.parametrize(
    ("edges", "counts", "message"),
    [
        ([0], [], "expected at least two increasing bin edges, found [0]"),
        ([0, 2, 1], [1, 1], "expected at least two increasing bin edges, found [0, 2, 1]"),
        ([0, 1], [1, 2], "expected 1 counts of at least 0 for 2 edges, found [1, 2]"),
        ([0, 1], [-1], "expected 1 counts of at least 0 for 2 edges, found [-1]"),
    ],
)
def test_histograms_that_cannot_be(edges: list[float], counts: list[float], message: str) -> None:
    with pytest.raises(UsageError) as caught:
        histogram_pair(edges, counts, title="t")
    assert caught.value.message == message


def test_sparkline_bars_fill_their_height() -> None:
    bars = shapes(sparkline([1, 2, None, 4], title="t", height=26), "rect", "bar")
    assert numbers(bars, "height") == [6, 12, 24]
    assert numbers(bars, "x") == [0, 15, 45]


def test_an_honest_prediction_lies_on_the_diagonal() -> None:
    picture = calibration_curve([(0.25, 0.25, 1), (0.75, 0.75, 4), (0.5, 0.1, 0)], title="t")
    first, second = shapes(picture, "circle", "dot")
    (line,) = shapes(picture, "line", "reference")
    x0, y0, x1, y1 = (float(line[key]) for key in ("x1", "y1", "x2", "y2"))
    assert float(first["cx"]) == pytest.approx(x0 + (x1 - x0) / 4)
    assert float(first["cy"]) == pytest.approx(y0 + (y1 - y0) / 4)
    assert float(second["r"]) > float(first["r"])


def test_heat_levels_follow_values_and_the_diagonal_is_empty() -> None:
    picture = heat_map(["a", "b"], [[1, 0.42], [None, 1]], title="t")
    assert len(shapes(picture, "rect", "heat h4")) == 1
    assert len(shapes(picture, "rect", "void")) == 3


def test_a_matrix_of_another_size_is_refused() -> None:
    with pytest.raises(UsageError) as caught:
        heat_map(["a", "b"], [[1, 2, 3], [1, 2, 3]], title="t")
    assert caught.value.message == "expected a matrix of 2 by 2 for 2 names, found a side of 3"


def test_coverage_is_cut_into_alone_agreeing_and_conflicting() -> None:
    picture = source_plot([Source("a", 0.4, 0.3, 0.1)], title="t")
    parts = shapes(picture, "rect", "bar")
    assert [part["class"] for part in parts] == ["bar s1", "bar agree", "bar s2"]
    alone, agrees, conflicts = numbers(parts, "width")
    assert (alone, agrees) == pytest.approx((conflicts, 2 * conflicts), abs=0.03)
    assert not shapes(picture, "circle", "dot")


def test_accuracy_is_drawn_where_there_is_gold() -> None:
    picture = source_plot(
        [Source("a", 0.4, accuracy=0.9, low=0.8, high=1.0), Source("b", 0.1)], title="t"
    )
    assert len(shapes(picture, "circle", "dot")) == 1
    assert len(shapes(picture, "line", "whisker")) == 1
