"""What tests of pages share: hostile texts, a reader of HTML, and a headless browser."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import NamedTuple

import pytest

from gristmill.web import Report, sections

HOSTILE = [
    "<script>alert(1)</script>",
    "</style><script>alert(1)</script>",
    "\"><img src=x onerror='alert(1)'>",
    "' onload='alert(1)",
    "]]></svg><svg onload=alert(1)>",
    "{{ 7 * 7 }}{% raw %}",
    "مرحبا بالعالم \u202e txt.exe",
    "👩\u200d👩\u200d👧\u200d👦 🇩🇪 ✊🏿",
    "x" * 10_000,
    "\x00\x01\x08\x1b[31m\x7f\x9f\ufffe",
    "\ud800 lone",
    "a\r\nb\tc",
    "",
]


class Seen(NamedTuple):
    """What a parser found in a page."""

    tags: list[tuple[str, dict[str, str | None]]]
    text: str

    def count(self, tag: str, class_: str | None = None) -> int:
        return sum(
            name == tag and (class_ is None or class_ in (attributes.get("class") or "").split())
            for name, attributes in self.tags
        )


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


@pytest.fixture
def read() -> Callable[[str], Seen]:
    """Parse HTML."""

    def parse(page: str) -> Seen:
        reader = _Reader()
        reader.feed(page)
        reader.close()
        return Seen(reader.tags, " ".join(reader.texts))

    return parse


@pytest.fixture(params=HOSTILE, ids=range(len(HOSTILE)))
def hostile(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def all_sections() -> Callable[[str], Report]:
    """Build a report of every section in which every text is the one given."""
    return _all_sections


def _all_sections(text: str) -> Report:
    report = Report(text, text)
    report.text(text).facts([(text, text), ("rows", 5572)]).code(text, text)
    names = [f"{text}{place}" for place in range(24)]
    rows = [
        {
            "name": name,
            "coverage": 0.3,
            "overlaps": 0.2,
            "conflicts": 0.1,
            "accuracy": 0.9,
            text: text,
        }
        for name in names
    ]
    agreement = [[0.01 * (row + column) for column in range(24)] for row in range(24)]
    sections.labelling_section(
        report,
        rows,
        agreement=agreement,
        classes=dict.fromkeys(names, 3),
        calibration=[(0.1, 0.2, 10), (0.9, 0.8, 90)],
        examples=[{text: text}],
    )
    feature = {"name": text, "type": text, "min": text, "top_values": [(text, 3), ("b", 1)]}
    numbers = {"name": text, "histogram": {"edges": [0, 1, 3], "counts": [4, 2], "current": [1, 5]}}
    sections.profile_section(report, [feature, numbers])
    finding = dict.fromkeys(("severity", "code", "feature", "message", "evidence", "fix"), text)
    sections.findings_section(report, [{**finding, "rows": [text] * 30, "examples": [text]}])
    curve = [{"epoch": at, "train_loss": 1 / at, "validation_loss": 2 / at} for at in range(1, 9)]
    sections.training_section(report, dict.fromkeys(names[:10], curve), metric=text)
    scored = [{"name": name, "f1": (0.9, 0.8, 0.95)} for name in names]
    sections.comparison_section(report, scored, highlight=names[0], reference=names[1])
    parts = [
        {"id": name, "label": name, "kind": text, "status": text, "detail": text} for name in names
    ]
    links = [(names[place // 2], names[place]) for place in range(1, 24)]
    sections.lineage_section(report, parts, links, title=text)
    sections.serving_section(report, [{"request": text, "status": 200, "response": {text: text}}])
    return report


class Shown(NamedTuple):
    """What the browser made of a page."""

    dom: str
    console: list[str]


@pytest.fixture(scope="session")
def browser() -> Callable[[Path], Shown]:
    """Open a file in headless Chromium; return its document and all console messages."""
    names = ("chromium", "chromium-browser", "google-chrome", "chrome")
    program = next((found for name in names if (found := shutil.which(name))), None)
    if program is None:
        pytest.skip("no Chromium on this machine")

    def show(page: Path) -> Shown:
        options = "--headless --no-sandbox --disable-gpu --disable-background-networking"
        more = f"--enable-logging=stderr --user-data-dir={page.parent / 'profile'}"
        more += " --virtual-time-budget=10000 --dump-dom"  # scripts end before the dump
        command = [program, *options.split(), *more.split(" "), page.as_uri()]
        done = subprocess.run(command, capture_output=True, timeout=120, check=True)
        messages = done.stderr.decode(errors="replace").splitlines()
        return Shown(done.stdout.decode(), [line for line in messages if "CONSOLE" in line])

    return show
