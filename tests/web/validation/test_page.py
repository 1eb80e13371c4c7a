"""The pages as files: self-contained, small, escaped, the same for the same content."""

from __future__ import annotations

import base64
import json
import re
import zlib
from collections.abc import Callable
from datetime import UTC, datetime
from html import unescape
from pathlib import Path
from typing import Any

import pytest

from gristmill.validate.checks.findings import Evidence, Finding
from gristmill.validate.checks.report import Report
from gristmill.web.validation.page import write_profile_page, write_validation_page

Check = Callable[..., Any]
Read = Callable[[str], Any]

VOID = {"meta", "input", "br", "line", "path", "rect"}


@pytest.fixture
def page(checked: Check, tmp_path: Path) -> Callable[..., str]:
    def write(text: str = "", **options: Any) -> str:
        report, current, baseline = checked(text, **options)
        path = tmp_path / "page.html"
        written = write_validation_page(report, path, current=current, baseline=baseline)
        assert written == path
        return path.read_text(encoding="utf-8")

    return write


def test_the_verdict_comes_first_then_findings_then_features(page: Callable[..., str]) -> None:
    html = page()
    places = [html.index(part) for part in ('class="verdict"', 'id="findings"', 'id="features"')]
    assert places == sorted(places)
    assert '<span class="headline">2 errors, 1 warning</span>' in html
    assert "exit code 3 · 1 note" in html


def test_findings_stand_in_the_order_of_their_severity(page: Callable[..., str]) -> None:
    assert re.findall(r'<li class="card (\w+)">', page()) == ["error", "error", "warning", "info"]


def test_a_sound_table_says_so(checked: Check, tmp_path: Path) -> None:
    _, current, baseline = checked(shift=0.0)
    report = Report("now", 400, [])
    html = write_validation_page(
        report, tmp_path / "p.html", current=current, baseline=baseline
    ).read_text()
    assert "Nothing is wrong" in html
    assert "exit code 0" in html
    assert "What to do next" not in html


def test_every_feature_has_a_row_with_figures_of_both_tables(
    page: Callable[..., str], read: Read
) -> None:
    seen = read(page())
    assert seen.count("tr", "pair") == 6
    assert seen.count("tr", "more") == 6
    assert seen.count("svg", "mini") >= 6
    assert seen.count("div", "baseline") > 20
    assert "5.0 %" in seen.text


def test_an_edit_shows_as_a_diff_with_the_command_that_accepts_it(
    checked: Check, tmp_path: Path
) -> None:
    report, current, baseline = checked("z")
    html = write_validation_page(
        report, tmp_path / "p.html", current=current, baseline=baseline, saved_as="reports/7"
    ).read_text()
    assert "<code>gristmill validate accept reports/7</code>" in html
    assert '<span class="gone">- drift = 0.1</span>' in html
    assert '<span class="come">+ drift = 0.4</span>' in html
    assert '<span class="gone">-   &#34;a&#34;</span>' in html
    assert '<span class="come">+   &#34;z&#34;</span>' in html


def test_nothing_is_fetched_and_the_policy_forbids_it(page: Callable[..., str], read: Read) -> None:
    html = page()
    assert "default-src 'none'" in unescape(html)
    for name, attributes in read(html).tags:
        assert name not in {"link", "img", "iframe", "object", "base", "form"}
        assert not {"src", "style"} & set(attributes)
        assert not any(key.startswith("on") for key in attributes)
        assert (attributes.get("href") or "#").startswith("#")


def test_hostile_text_is_text(page: Callable[..., str], read: Read, hostile: str) -> None:
    usual = {name for name, _ in read(page("abc")).tags}
    html = page(hostile)
    seen = read(html)
    assert {name for name, _ in seen.tags} <= usual
    assert seen.count("script") == 1
    assert seen.count("tr", "pair") == 6
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f\ud800-\udfff]", html)
    assert len(html.encode()) < 300_000


def test_tags_are_balanced(page: Callable[..., str]) -> None:
    html = re.sub(r"<(script|style)>.*?</\1>", "", page("<b>"), flags=re.DOTALL)
    open_ = re.findall(r"<([a-z0-9]+)[\s>]", html)
    closed = re.findall(r"</([a-z0-9]+)>", html)
    for name in set(open_) - VOID:
        assert open_.count(name) == closed.count(name), name


def test_18_columns_take_less_than_300_kb(page: Callable[..., str]) -> None:
    html = page(columns=18, rows=3000)
    assert len(html.encode()) < 300_000


def test_the_same_content_gives_the_same_bytes(page: Callable[..., str]) -> None:
    assert page() == page()


def test_of_many_features_the_rows_are_packed(page: Callable[..., str], read: Read) -> None:
    html = page(columns=160, rows=60)
    seen = read(html)
    assert seen.count("tr", "pair") == 0
    rows = _unpacked(re.findall(r'id="packed"[^>]*>([^<]*)<', html)[0])
    assert len(rows) == 160
    assert rows[6][:2] == ["more_0000", "float"]
    assert rows[6][5].lstrip().startswith('<tr class="pair')
    details = re.findall(r'class="packed-details">([^<]*)<', html)
    assert [len(_unpacked(part)) for part in details] == [50, 50, 50, 10]
    plain = html[html.index('<noscript class="plain">') :]
    assert plain.count("<td>more_0") == 154


def test_packed_rows_carry_hostile_text_as_text(page: Callable[..., str], hostile: str) -> None:
    html = page(hostile, columns=151, rows=40)
    rows = _unpacked(re.findall(r'id="packed"[^>]*>([^<]*)<', html)[0])
    joined = "".join(row[5] for row in rows)
    assert "<script" not in joined
    assert "<img" not in joined


def _unpacked(source: str) -> list[Any]:
    found: list[Any] = json.loads(zlib.decompress(base64.b64decode(source)))
    return found


def test_without_statistics_the_distances_are_still_shown(checked: Check, tmp_path: Path) -> None:
    html = write_validation_page(checked().report, tmp_path / "p.html").read_text()
    assert html.count('<tr class="pair') == 6
    assert "floor 0." in html


def test_a_column_that_has_gone_shows_its_baseline(checked: Check, tmp_path: Path) -> None:
    report, current, baseline = checked()
    del current.features["tips"]
    gone = Report(report.name, 400, [], [d for d in report.drift if d.feature != "tips"])
    html = write_validation_page(
        gone, tmp_path / "p.html", current=current, baseline=baseline
    ).read_text()
    row = html[html.index('title="tips"') :].split("</tr>")[0]
    assert '<div class="current">gone</div>' in row


def test_a_profile_alone_has_no_verdict(checked: Check, tmp_path: Path) -> None:
    _, current, baseline = checked()
    when = datetime(2026, 1, 2, 3, 4, tzinfo=UTC)
    html = write_profile_page(current, tmp_path / "p.html", when=when).read_text()
    assert "Profile of now" in html
    assert "2026-01-02 03:04 UTC" in html
    assert 'class="verdict"' not in html
    assert 'data-sort="difference"' not in html
    beside = write_profile_page(current, tmp_path / "q.html", baseline, title="Two").read_text()
    assert '<h1 dir="auto">Two</h1>' in beside
    assert beside.count("floor 0.") == 6


def test_an_empty_table_has_a_page(tmp_path: Path, checked: Check) -> None:
    _, current, baseline = checked()
    empty = type(current)("none", 0, {}, current.repeats)
    html = write_profile_page(empty, tmp_path / "p.html", baseline).read_text()
    assert html.count('<tr class="pair') == 6


def test_the_one_value_that_rows_share_stands_with_them(checked: Check, tmp_path: Path) -> None:
    _, current, baseline = checked()
    evidence = Evidence(1, 400, (895,), ("'7h'",))
    finding = Finding("wrong_type", "error", "tips", "1 of 400 cells", evidence)
    html = write_validation_page(
        Report("now", 400, [finding]), tmp_path / "p.html", current=current, baseline=baseline
    ).read_text()
    assert '895: <code dir="auto">&#39;7h&#39;</code>' in html
