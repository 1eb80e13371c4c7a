from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from markupsafe import Markup

from gristmill.core.errors import UsageError
from gristmill.web import blocks, svg

Read = Callable[[str], Any]


def test_a_table_aligns_sorts_and_emphasises(read: Read) -> None:
    page = blocks.table(["name", "rows"], [("a", 1200), ("b", None)], "Caption", highlight=[1])
    seen = read(page)
    assert (seen.count("th"), seen.count("td"), seen.count("button")) == (2, 4, 2)
    assert seen.count("th", "number") == 1
    assert seen.count("td", "missing") == 1
    assert seen.count("tr", "highlight") == 1
    assert 'data-key="1200">1,200</td>' in page
    assert "<figcaption>Caption</figcaption>" in page


def test_rows_beyond_the_most_are_counted() -> None:
    page = blocks.table(["n"], [(at,) for at in range(1500)], max_rows=20)
    assert page.count("<tr>") == 21
    assert "20 of 1,500 rows shown." in page


def test_a_table_without_rows_says_so() -> None:
    assert '<td class="missing" colspan="2">No rows.</td>' in blocks.table(["a", "b"], [])


def test_a_row_of_the_wrong_length_is_named() -> None:
    with pytest.raises(UsageError) as caught:
        blocks.table(["a", "b"], [(1, 2), (3,)], "T")
    assert (
        str(caught.value) == "row 1 of table 'T': expected 2 values for columns ['a', 'b'], found 1"
    )


def test_a_figure_is_drawn_for_desk_and_phone() -> None:
    widths = []

    def draw(width: int) -> Markup:
        widths.append(width)
        return svg.drawing(width, 10, "t", "d")

    page = blocks.figure(draw, "c")
    assert widths == [800, 345]
    assert "at-desk" in page
    assert "on-phone" in page
    assert "on-phone" not in blocks.figure(svg.drawing(1, 1, "t", "d"))


def test_plain_text_is_no_picture() -> None:
    with pytest.raises(UsageError) as caught:
        blocks.figure("<svg></svg>")  # type: ignore[arg-type]
    assert caught.value.message == "expected a drawing as Markup, found str"


def test_findings_come_errors_first_with_their_evidence(read: Read) -> None:
    page = blocks.findings(
        [
            {"severity": "info", "message": "new"},
            {
                "severity": "ERROR",
                "code": "type",
                "feature": "label",
                "message": "bad",
                "evidence": {"share": 0.25, "rows": 1114},
                "rows": range(100),
                "examples": ["<x>"],
                "fix": "mend it",
            },
            {"severity": "fatal", "message": "odd"},
        ]
    )
    seen = read(page)
    assert page.index("bad") < page.index("new") < page.index("odd")
    assert seen.count("li", "error") == 1
    assert seen.count("li", "info") == 2
    assert "share 0.250, rows 1,114" in page
    assert "0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11 " in page
    assert "and 88 more" in page
    assert '<code dir="auto">&lt;x&gt;</code>' in page


def test_no_findings_is_good_news() -> None:
    assert "No findings." in blocks.findings([])


def test_code_is_cut_at_its_limit() -> None:
    assert "… 5 more characters" in blocks.code("a" * 20_005)
    assert "more characters" not in blocks.code("a" * 20_000)


def test_details_fold_blocks() -> None:
    page = blocks.details("More <", [blocks.text("x"), blocks.code("y")])
    assert '<summary dir="auto">More &lt;</summary>' in page
    assert page.index("<p>x</p>") < page.index("<code>y</code>")


def test_facts(read: Read) -> None:
    seen = read(blocks.facts([("rows", 5572), ("share", 0.25), ("none", None)]))
    assert (seen.count("dt"), seen.count("dd")) == (3, 3)
    assert "5,572" in seen.text
    assert "0.250" in seen.text


def test_no_block_lets_markup_through(hostile: str, read: Read) -> None:
    made = [
        blocks.text(hostile),
        blocks.facts([(hostile, hostile)]),
        blocks.table([hostile], [(hostile,)], hostile),
        blocks.code(hostile, hostile),
        blocks.findings([dict.fromkeys(("severity", "message", "evidence", "rows"), hostile)]),
        blocks.details(hostile, []),
    ]
    for block in made:
        seen = read(block)
        assert not {"script", "img", "svg", "style"} & {tag for tag, _ in seen.tags}
        assert not any(name.startswith("on") for _, attributes in seen.tags for name in attributes)
        block.encode()
