from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gristmill.core.errors import UsageError
from gristmill.web import Report

Read = Callable[[str], Any]
Build = Callable[[str], Report]
OUTSIDE = re.compile(
    r"""(?:src|href|action|data|poster)\s*=\s*["']?\s*(?:https?:)?//|url\(|@import""", re.I
)


def test_blocks_stand_where_they_were_added(read: Read) -> None:
    report = Report("Title", "Sub")
    first = report.section("One", "Lead.").text("first").facts([("n", 1)])
    report.text("above")
    report.section("Two").code("second")
    first.text("third")
    page = report.render()
    order = [
        page.index(f">{word}<") for word in ("Title", "Sub", "above", "first", "third", "second")
    ]
    assert order == sorted(order)
    links = [attributes["href"] for tag, attributes in read(page).tags if tag == "a"]
    assert links == ["#one", "#two"]


def test_anchors_are_distinct_and_never_empty() -> None:
    report = Report("T")
    anchors = [report.section(title).anchor for title in ("A b", "a-B", "???", "日本", "top")]
    assert anchors == ["a-b", "a-b-2", "section", "section-2", "top-2"]


def test_a_report_without_sections_is_a_page(read: Read) -> None:
    seen = read(Report("Only").render())
    assert seen.count("nav") == 0
    assert "Only" in seen.text


def test_the_same_content_gives_the_same_bytes(all_sections: Build) -> None:
    assert all_sections("x").render() == all_sections("x").render()


def test_writing_is_whole(tmp_path: Path) -> None:
    path = Report("T").write(tmp_path / "deep" / "report.html")
    assert path.read_text() == Report("T").render()
    assert [found.name for found in path.parent.iterdir()] == ["report.html"]


def test_a_large_report_is_refused_with_its_largest_section(tmp_path: Path) -> None:
    report = Report("T")
    report.section("Small").text("x")
    large = report.section("Large")
    for _ in range(60):
        large.code("y" * 20_000)
    target = tmp_path / "report.html"
    target.write_text("before")
    with pytest.raises(UsageError) as caught:
        report.write(target)
    assert re.fullmatch(
        r"expected a report under 1 MB, found 1\.2\d MB; "
        r"the largest section is 'Large' with 1\.2\d? MB",
        caught.value.message,
    )
    assert caught.value.fix == "show fewer rows or examples there"
    assert target.read_text() == "before"


def test_nothing_outside_is_referenced(all_sections: Build, read: Read) -> None:
    page = all_sections("see https://example.org/x.png").render()
    assert not OUTSIDE.search(page)
    assert OUTSIDE.search('<img src="https://example.org/x.png">')
    assert not {"link", "iframe", "object", "embed", "base"} & {tag for tag, _ in read(page).tags}


def test_no_inline_styles_and_handlers_which_the_policy_would_refuse(
    all_sections: Build, read: Read
) -> None:
    seen = read(all_sections("x").render())
    names = {name for _, attributes in seen.tags for name in attributes}
    assert "style" not in names
    assert not any(name.startswith("on") for name in names)


def test_hostile_text_everywhere(hostile: str, all_sections: Build, read: Read) -> None:
    page = all_sections(hostile).render()
    plain = read(all_sections("plain").render())
    seen = read(page)
    for tag in ("script", "style", "img", "section", "svg"):
        assert seen.count(tag) == plain.count(tag), tag
    assert not any(name.startswith("on") for _, attributes in seen.tags for name in attributes)
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ufffe]", page)
    assert "49" not in Report(hostile).render().partition("<body>")[2].partition("<script>")[0]
    assert len(page.encode()) < 1_000_000
