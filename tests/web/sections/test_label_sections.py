from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from gristmill.web import Report, sections
from gristmill.web.sections.labelling import MAX_DRAWN, MAX_MAPPED

Read = Callable[[str], Any]


@pytest.fixture
def report() -> Report:
    return Report("T")


def groups(text: str) -> list[dict[str, object]]:
    return [
        {
            "trait": text,
            "rows": 12,
            "fresh": 9,
            "share": 0.5,
            "elsewhere": 0.0004,
            "also": [text, text],
            "leans_to": text,
            "lean_share": 0.9,
            "lean_low": 0.8,
            "lean_high": 0.95,
            "suggestion": f"keywords({text!r})",
            "examples": (7, 8),
        }
    ]


def errors(text: str) -> dict[str, object]:
    return {"source": text, "voted": text, "truth": "b", "rows": 3, "votes": 9, "harm": 1}


def test_groups_show_sizes_leanings_code_and_rows_to_read(report: Report) -> None:
    section = sections.row_groups_section(
        report, groups("free prize"), title="Next", examples={7: {"text": "win"}}, rest=4
    )
    page = "".join(section.blocks)
    for shown in ("free prize", "50.0 %", "&lt; 0.1 %", "in no group", "also: free prize"):
        assert shown in page
    assert "keywords(&#39;free prize&#39;)" in page
    assert "Rows to read: free prize" in page
    assert page.count("<td>8</td>") == 0


def test_no_groups_say_so(report: Report) -> None:
    section = sections.row_groups_section(report, [], title="Next")
    assert "No groups stand out." in "".join(section.blocks)


def test_buckets_put_errors_forward(report: Report) -> None:
    rows = [
        {"predicted": "a", "truth": "b", "rows": 2, "share": 0.4, "low": 0.1, "high": 0.8,
         "examples": (1,)},
        {"predicted": "b", "truth": "b", "rows": 3, "share": 0.6, "low": 0.2, "high": 0.9},
    ]  # fmt: skip
    wrong = [errors("rule") | {"examples": [1]}]
    section = sections.buckets_section(report, rows, sources=wrong, examples={1: {"t": "why"}})
    page = "".join(section.blocks)
    assert page.count('<tr class="highlight">') == 1
    assert "a where experts say b" in page
    assert "rule votes rule where experts say b" in page
    assert page.count("why") == 2


def test_hostile_texts_are_escaped(report: Report, hostile: str, read: Read) -> None:
    examples = {7: {hostile: hostile}}
    sections.row_groups_section(report, groups(hostile), title=hostile, examples=examples)
    bucket = {"predicted": hostile, "truth": "b", "rows": 1, "examples": (7,)}
    wrong = [errors(hostile) | {"examples": (7,)}]
    sections.buckets_section(report, [bucket], sources=wrong, examples=examples, title=hostile)
    seen = read(report.render())
    assert seen.count("script") == 1
    assert seen.count("img") == 0
    assert not any(name.startswith("on") for _, found in seen.tags for name in found)


def test_only_the_foremost_of_many_functions_are_drawn(report: Report) -> None:
    count = MAX_DRAWN + 40
    rows = [
        {"name": f"f{at}", "coverage": at / count, "overlaps": 0.0, "conflicts": 1 / (at + 1)}
        for at in range(count)
    ]
    square = [[0.5] * count for _ in rows]
    section = sections.labelling_section(report, rows, agreement=square, excess=square)
    page = "".join(section.blocks)
    assert f"(the {MAX_DRAWN} of {count} that cover most)" in page
    assert page.count(f"(the {MAX_MAPPED} of {count} that conflict most)") == 2
    assert len(page) < 700_000
