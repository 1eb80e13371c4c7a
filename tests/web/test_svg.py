from __future__ import annotations

import xml.etree.ElementTree as ET

from markupsafe import Markup

from gristmill.web import svg


def test_names_numbers_and_missing_values_of_attributes() -> None:
    shape = svg.element("rect", x=1.0, y=-0.001, rx=2.3456, class_="bar", text_anchor=None)
    assert shape == '<rect x="1" y="0" rx="2.35" class="bar"></rect>'


def test_text_is_escaped_and_markup_is_kept() -> None:
    assert (
        svg.text(0, 0, "<b>&", "label") == '<text x="0" y="0" class="label">&lt;b&gt;&amp;</text>'
    )
    assert svg.group(Markup("<line></line>"), "<x>") == "<g><line></line>&lt;x&gt;</g>"


def test_any_text_leaves_well_formed_xml(hostile: str) -> None:
    picture = svg.drawing(
        10, 10, hostile, hostile, svg.hover(hostile, svg.text(0, 0, hostile, hostile))
    )
    root = ET.fromstring(picture)
    assert {child.tag for child in root.iter()} == {"svg", "title", "desc", "g", "text"}
    assert set(root.attrib) == {"class", "viewBox", "width", "height", "role", "aria-label"}


def test_a_drawing_says_what_it_is() -> None:
    root = ET.fromstring(svg.drawing(20, 10, "Curves", "Two lines.", class_="spark"))
    assert root.attrib["role"] == "img"
    assert root.attrib["aria-label"] == "Curves"
    assert [(child.tag, child.text) for child in root] == [
        ("title", "Curves"),
        ("desc", "Two lines."),
    ]


def test_series_colours_repeat_with_a_mark() -> None:
    assert [svg.series_class(place) for place in (0, 7, 8)] == ["s1", "s8", "s1 again"]


def test_negative_sizes_are_drawn_as_nothing() -> None:
    assert 'width="0"' in svg.rect(0, 0, -3, 4, "bar")
