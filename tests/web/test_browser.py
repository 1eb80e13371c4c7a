"""The page as a browser sees it."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from markupsafe import Markup

from gristmill.web import Report

pytestmark = pytest.mark.browser

Build = Callable[[str], Report]
Browser = Callable[[Path], Any]

# Texts of one drawing whose boxes meet by more than a hair, or that leave the drawing.
OVERLAPS = """
document.querySelectorAll("details").forEach(function (fold) { fold.open = true; });
var met = [], texts = 0;
document.querySelectorAll("svg.chart").forEach(function (svg) {
  if (!svg.getBoundingClientRect().width) return;
  var frame = svg.getBoundingClientRect();
  var boxes = Array.from(svg.querySelectorAll("text")).map(function (text) {
    return [text.textContent, text.getBoundingClientRect()];
  });
  texts += boxes.length;
  boxes.forEach(function (a, i) {
    var out = a[1].left < frame.left - 3 || a[1].right > frame.right + 3;
    if (out) met.push([a[0], "leaves the drawing"]);
    boxes.slice(i + 1).forEach(function (b) {
      var x = Math.min(a[1].right, b[1].right) - Math.max(a[1].left, b[1].left);
      var y = Math.min(a[1].bottom, b[1].bottom) - Math.max(a[1].top, b[1].top);
      if (x > 1 && y > 4) met.push([a[0], b[0]]);
    });
  });
});
var wide = document.documentElement.scrollWidth;
document.title = JSON.stringify({met: met, texts: texts, wide: wide});
"""


def _opened(page: str, script: str) -> str:
    """Return the page without its policy and with a script at its end."""
    free = re.sub(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", page)
    return free.replace("</body>", f"<script>{script}</script></body>")


def test_the_page_renders_without_a_word_on_the_console(
    browser: Browser, all_sections: Build, tmp_path: Path
) -> None:
    shown = browser(all_sections("plain").write(tmp_path / "report.html"))
    assert shown.console == []
    assert shown.dom.count("<section") == 7
    assert shown.dom.count("<svg") == all_sections("plain").render().count("<svg")


def test_the_policy_refuses_any_request(browser: Browser, tmp_path: Path) -> None:
    """Also shows that the console would have told of a request in the test above."""
    report = Report("T").add(
        Markup('<img src="http://127.0.0.1:9/x.png"><b style="color:red">x</b>')
    )
    report.add(Markup("<script>document.title = 'taken'</script>"))
    shown = browser(report.write(tmp_path / "report.html"))
    told = "\n".join(shown.console)
    assert len(re.findall("Content Security Policy", told)) >= 3
    assert "<title>T</title>" in shown.dom


def test_hostile_text_runs_nothing(browser: Browser, all_sections: Build, tmp_path: Path) -> None:
    text = (
        "</title></style></svg><script>document.title='taken'</script><img src=x onerror=alert(1)>"
    )
    shown = browser(all_sections(text).write(tmp_path / "report.html"))
    assert shown.console == []
    assert "<title>&lt;/title&gt;" in shown.dom


@pytest.mark.parametrize("width", [345, 1100])
def test_texts_of_drawings_do_not_overlap(
    browser: Browser, all_sections: Build, tmp_path: Path, width: int
) -> None:
    """With 24 categories, at the width of a desk and of a phone."""
    talk = f"{OVERLAPS} parent.postMessage(document.title, '*');"
    (tmp_path / "inner.html").write_text(_opened(all_sections("category_of_").render(), talk))
    outer = tmp_path / "outer.html"
    outer.write_text(
        f'<iframe src="inner.html" width="{width}" height="900"></iframe><script>'
        'addEventListener("message", function (told) { document.title = told.data; });</script>'
    )
    found = re.search(r"<title>(.*?)</title>", browser(outer).dom)
    assert found is not None
    told = json.loads(html.unescape(found[1]))
    assert told["texts"] > 200
    assert told["met"] == []
    assert told["wide"] <= width


def test_a_click_on_a_heading_sorts(browser: Browser, tmp_path: Path) -> None:
    rows = [("b", 9, 0.5), ("a", 1200, None), ("c", 30, 0.1)]
    page = Report("T").table(["name", "rows", "share"], rows).render()
    script = """
    var heads = document.querySelectorAll("th button"), told = [];
    [0, 0, 1, 1, 2].forEach(function (at) {
      heads[at].click();
      told.push(Array.from(document.querySelectorAll("tbody tr")).map(function (row) {
        return row.cells[0].textContent; }).join(""));
    });
    document.title = told.join(" ");
    """
    path = tmp_path / "page.html"
    path.write_text(_opened(page, script))
    dom = browser(path).dom
    # Text goes up first, numbers down; what is missing stays last.
    assert "<title>abc cba acb bca bca</title>" in dom
    assert len(re.findall('<th [^>]*aria-sort="descending"', dom)) == 1
