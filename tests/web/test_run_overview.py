"""The page of a run: steps, figures, gates, pictures, output, all on it."""

from __future__ import annotations

from gristmill.web.report import MAX_BYTES
from gristmill.web.run_overview import Picture, StepRow, is_picture, run_page

STEPS = [
    StepRow("load", "cached", 0.0, "up to date", (), "table", 10, "ab" * 16, text="read <b>\n"),
    StepRow("train", "done", 1.5, "first run", ("load",), "fitted", None, "cd" * 16, {"f1": 0.91}),
    StepRow("gate", "done", 0.1, "first run", ("train",), "verdict", verdict=("hold", ["noise"])),
    StepRow("deploy", "blocked", 0.0, "gate gate said hold", ("gate",)),
    StepRow("bad", "failed", 0.2, "first run", ("load",), message="ValueError: <x>"),
]


def test_everything_is_said_and_escaped() -> None:
    picture = Picture('train: "curve".svg', b"<svg><script>alert(1)</script></svg>")
    page = run_page(
        "spam: run 1", "pipeline.py", [("status", "failed")], STEPS,
        pictures=[picture], changes="-old\n+<new>\n", packages="polars==1\n",
    ).render()  # fmt: skip
    for word in (
        "0.91",
        "hold",
        "noise",
        "ValueError: &lt;x&gt;",
        "read &lt;b&gt;",
        "+&lt;new&gt;",
    ):
        assert word in page
    assert "polars==1" in page
    assert "data:image/svg+xml;base64," in page
    assert "alert(1)" not in page
    assert page.count("<h2") == 8


def test_a_run_without_anything_has_a_page() -> None:
    page = run_page("empty", "", [], []).render()
    assert "<h1" in page


def test_pictures_that_do_not_fit_are_named(tmp_path) -> None:
    small, large = Picture("a: s.png", b"1" * 1000), Picture("a: large.png", b"1" * 700_000)
    report = run_page("run", "", [], STEPS, pictures=[large, small, large])
    page = report.write(tmp_path / "index.html").read_text()
    assert len(page) < MAX_BYTES
    assert page.count("data:image/png") == 1
    assert page.count("large.png") >= 2


def test_long_output_shows_its_end(tmp_path) -> None:
    steps = [StepRow(f"s{n}", "done", 1.0, "", text="x" * 50_000 + f"\nend {n}") for n in range(90)]
    page = run_page("run", "", [], steps).write(tmp_path / "index.html").read_text()
    assert "end 0" in page
    assert len(page) < 400_000


def test_what_is_a_picture() -> None:
    assert [is_picture(name) for name in ("a.PNG", "b.svg", "c.txt", "png")] == [
        True, True, False, False
    ]  # fmt: skip
