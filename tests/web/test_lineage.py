from __future__ import annotations

import itertools
import xml.etree.ElementTree as ET

import pytest

from gristmill.core.errors import UsageError
from gristmill.web.lineage import Node, lineage_drawing
from gristmill.web.text import text_width


def rects(picture: str, class_: str = "node") -> list[tuple[float, float, float, float]]:
    return [
        tuple(float(shape.attrib[key]) for key in ("x", "y", "width", "height"))  # type: ignore[misc]
        for shape in ET.fromstring(picture).iter("rect")
        if shape.attrib["class"] == class_
    ]


def grid(count: int) -> tuple[list[Node], list[tuple[str, str]]]:
    nodes = [
        Node(str(at), f"step number {at} with a long name", "step", "run", f"{at} rows")
        for at in range(count)
    ]
    return nodes, [(str(at // 3), str(at)) for at in range(1, count)]


@pytest.mark.parametrize("width", [345, 800])
@pytest.mark.parametrize("count", [1, 7, 60])
def test_boxes_lie_within_the_picture_and_apart(count: int, width: int) -> None:
    picture = lineage_drawing(*grid(count), width=width)
    root, boxes = ET.fromstring(picture), rects(picture)
    assert len(boxes) == count
    for (ax, ay, aw, ah), (bx, by, bw, bh) in itertools.combinations(boxes, 2):
        assert ax + aw <= bx or bx + bw <= ax or ay + ah <= by or by + bh <= ay
    assert all(x >= 0 and x + w <= float(root.attrib["width"]) for x, _, w, _ in boxes)
    assert all(y >= 0 and y + h <= float(root.attrib["height"]) for _, y, _, h in boxes)


def test_texts_fit_their_box() -> None:
    picture = ET.fromstring(
        lineage_drawing([Node("a", "W" * 500, "KIND" * 50, "run", "日本" * 99)], [])
    )
    sizes = {"kind": 9.5, "label strong": 12.5, "tick": 11.0}
    texts = [text for text in picture.iter("text") if text.attrib["class"] in sizes]
    assert len(texts) == 3
    assert all(text_width(text.text or "", sizes[text.attrib["class"]]) <= 152 for text in texts)
    assert all((text.text or "").endswith("…") for text in texts)


def test_statuses_are_coloured_and_explained() -> None:
    nodes = [Node(name, name, status=name) for name in ("failed", "run", "strange")]
    picture = lineage_drawing(nodes, [])
    found = [shape.attrib["class"] for shape in ET.fromstring(picture).iter("rect")]
    assert [name for name in found if name.startswith("status")] == [
        "status is-failed",
        "status is-run",
        "status is-other",
    ]
    assert [name for name in found if name.startswith("swatch")] == [
        "swatch is-run",
        "swatch is-failed",
    ]


def test_each_edge_is_one_path_and_each_target_one_arrow() -> None:
    nodes = [Node(name, name) for name in "abc"]
    edges = [("a", "b"), ("b", "c"), ("a", "c"), ("a", "c")]
    root = ET.fromstring(lineage_drawing(nodes, edges))
    classes = [path.attrib["class"] for path in root.iter("path")]
    assert (classes.count("edge"), classes.count("head")) == (3, 2)


def test_a_broad_graph_is_drawn_wider_than_the_page() -> None:
    nodes = [Node(str(at), str(at)) for at in range(20)]
    assert 'class="chart lineage natural"' in lineage_drawing(nodes, [])
    assert 'class="chart lineage"' in lineage_drawing(nodes[:3], [])


def test_nothing_to_draw() -> None:
    assert rects(lineage_drawing([], [])) == []


def test_a_cycle_is_refused() -> None:
    with pytest.raises(UsageError, match="cycle"):
        lineage_drawing([Node("a", "a"), Node("b", "b")], [("a", "b"), ("b", "a")])
