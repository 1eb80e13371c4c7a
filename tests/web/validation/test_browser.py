"""The pages as a browser sees them: sorting, searching, opening, at three widths."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gristmill.web.validation.page import write_validation_page

pytestmark = pytest.mark.browser

Check = Callable[..., Any]
Browser = Callable[[Path], Any]

# Waits until the page is ready, runs the steps, and leaves what they found in the heading.
DRIVE = """
function at(id) { return document.getElementById(id); }
function set(id, value) { at(id).value = value; at(id).dispatchEvent(new Event("input")); }
function names() {
  var all = Array.from(document.querySelectorAll("button.open"));
  return all.map(function (b) { return b.textContent; });
}
function done(told) { document.querySelector("h1").textContent = JSON.stringify(told); }
(function wait() {
  if (document.documentElement.dataset.ready) { STEPS } else setTimeout(wait, 5);
})();
"""
HEADING = re.compile(r"<h1[^>]*>(.*?)</h1>")


def _write(checked: Check, path: Path, text: str = "", **options: Any) -> Path:
    report, current, baseline = checked(text, **options)
    return write_validation_page(report, path, current=current, baseline=baseline)


def _drive(browser: Browser, page: Path, steps: str) -> Any:
    free = re.sub(
        r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", page.read_text(encoding="utf-8")
    )
    driven = page.with_name("driven.html")
    script = DRIVE.replace("STEPS", steps)
    driven.write_text(free.replace("</body>", f"<script>{script}</script></body>"))
    found = HEADING.search(browser(driven).dom)
    assert found is not None
    return json.loads(html.unescape(found[1]))


@pytest.mark.parametrize("columns", [8, 160])
def test_the_page_runs_under_its_policy_without_a_word_on_the_console(
    browser: Browser, checked: Check, tmp_path: Path, columns: int
) -> None:
    text = "</script><script>document.title='taken'</script><img src=x onerror=alert(1)>"
    page = _write(checked, tmp_path / "p.html", text, columns=columns, rows=80)
    shown = browser(page)
    assert shown.console == []
    assert "<title>Validation of now" in shown.dom
    assert "<script>document.title" not in shown.dom


def test_sort_search_and_filter(browser: Browser, checked: Check, tmp_path: Path) -> None:
    steps = """
    var told = [names()];
    set("sort", "difference"); told.push(names()[0]);
    set("sort", "missing"); told.push(names()[0]);
    set("sort", "name"); told.push(names());
    set("search", "PAI"); told.push(names(), at("shown").textContent);
    set("search", "nowhere"); told.push(document.querySelector(".nothing").hidden);
    set("search", ""); set("kind", "time"); told.push(names());
    set("kind", ""); at("odd").click(); told.push(names());
    document.querySelector("[data-sort=missing]").click(); told.push(at("sort").value);
    done(told);
    """
    told = _drive(browser, _write(checked, tmp_path / "p.html"), steps)
    order = ["price", "paid", "note", "day", "tips", "gaps"]
    assert told[0] == order
    assert told[1] == "tips"
    assert told[2] == "gaps"
    assert told[3] == sorted(order)
    assert told[4:6] == [["paid"], "1 of 6"]
    assert told[6] is False
    assert told[7] == ["day"]
    assert set(told[8]) < set(order)
    assert {"price", "paid", "tips"} <= set(told[8])
    assert told[9] == "missing"


def test_a_click_opens_the_details_and_a_finding_leads_to_its_feature(
    browser: Browser, checked: Check, tmp_path: Path
) -> None:
    steps = """
    var open = function () { return Array.from(document.querySelectorAll("tr.more"))
      .filter(function (row) { return !row.hidden; }).map(function (row) { return row.id; }); };
    var told = [open()];
    set("search", "day");
    document.querySelector("a.card-feature[href]").click();
    setTimeout(function () {
      told.push(open(), document.activeElement.getAttribute("aria-expanded"), names().length);
      document.querySelector("#f1 button.open").click();
      setTimeout(function () { told.push(open()); done(told); }, 30);
    }, 60);
    """
    told = _drive(browser, _write(checked, tmp_path / "p.html"), steps)
    assert told == [[], ["d0"], "true", 6, ["d0", "d1"]]


def test_packed_rows_are_drawn_as_needed_and_open(
    browser: Browser, checked: Check, tmp_path: Path
) -> None:
    steps = """
    var told = [document.querySelector(".plain").children.length === 0, at("shown").textContent];
    set("search", "more_0150");
    told.push(names());
    document.querySelector("button.open").click();
    (function wait() {
      var more = document.querySelector("tr.more");
      if (!more) return setTimeout(wait, 5);
      told.push(more.id, more.textContent.indexOf("median") > 0);
      done(told);
    })();
    """
    page = _write(checked, tmp_path / "p.html", columns=160, rows=60)
    told = _drive(browser, page, steps)
    assert told == [True, "160 of 160", ["more_0150"], "d156", True]


@pytest.mark.parametrize("width", [400, 1000, 1600])
def test_the_page_is_no_wider_than_the_window(
    browser: Browser, checked: Check, tmp_path: Path, width: int
) -> None:
    text = "_of_a_name_that_is_sixty_characters_long_or_even_more_than_that"
    page = _write(checked, tmp_path / "p.html", text, columns=8)
    free = re.sub(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", page.read_text())
    tell = """
    document.querySelectorAll("button.open").forEach(function (b) { b.click(); });
    document.querySelectorAll("details").forEach(function (fold) { fold.open = true; });
    setTimeout(function () {
      var out = Array.from(document.querySelectorAll("td, th, p, li, code")).filter(function (e) {
        var box = e.getBoundingClientRect();
        return box.width && box.right > innerWidth + 1 && !e.closest(".scroll, .sheet"); })
        .map(function (e) { return e.className + ": " + e.textContent.slice(0, 60); });
      parent.postMessage([document.documentElement.scrollWidth, out], "*");
    }, 50);
    """
    (tmp_path / "inner.html").write_text(free.replace("</body>", f"<script>{tell}</script></body>"))
    outer = tmp_path / "outer.html"
    outer.write_text(
        f'<h1></h1><iframe src="inner.html" width="{width}" height="900"></iframe><script>'
        'addEventListener("message", function (told) {'
        'document.querySelector("h1").textContent = JSON.stringify(told.data); });</script>'
    )
    found = HEADING.search(browser(outer).dom)
    assert found is not None
    assert found[1]
    wide, out = json.loads(found[1])
    assert out == []
    assert wide <= width
