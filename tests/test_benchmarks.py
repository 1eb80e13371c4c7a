"""The machinery of the benchmarks; no benchmark runs here and no time is asserted."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
import time
from pathlib import Path

import pytest
from tests.processes import lives

FOLDER = Path(__file__).resolve().parent.parent / "benchmarks"
README = "# Mill\n\n<!-- benchmarks:begin -->\nold\n<!-- benchmarks:end -->\nafter\n"


@pytest.fixture(scope="module", autouse=True)
def on_path():
    """The benchmarks are scripts that import one another as neighbours."""
    sys.path.insert(0, str(FOLDER))
    yield
    sys.path.remove(str(FOLDER))
    for name in ("claims", "table"):
        sys.modules.pop(name, None)


@pytest.fixture
def claims(on_path):
    return importlib.import_module("claims")


@pytest.fixture
def table(on_path):
    return importlib.import_module("table")


@pytest.fixture
def project(tmp_path, claims):
    """A README and the results of two benchmarks."""
    (tmp_path / "README.md").write_text(README, encoding="utf-8")
    recorded = f"peer MLflow {claims.RECORDED}"
    claims.write(
        [
            claims.claim("b", 30, "ms", recorded, goal="< 60", peer=2430),
            claims.claim("a", 70.25, "ms", "alone", goal="< 60"),
        ],
        tmp_path / "results" / "two.json",
    )
    claims.write(
        [claims.claim("z|z", 1234.5, "rows/s", "in this run", peer=100, more_is_better=True)],
        tmp_path / "results" / "one.json",
    )
    return tmp_path


def options(project, *more):
    return ["--readme", str(project / "README.md"), "--results", str(project / "results"), *more]


# claims ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("ours", "goal", "holds"),
    [
        (59.9, "< 60", True),
        (60, "< 60", False),
        (60, "<= 60", True),
        (0.93, ">= 0.93", True),
        (0.929, ">= 0.93", False),
        (0.5, "> 0.5", False),
        (0, "<= 0", True),
    ],
)
def test_a_goal_is_a_sign_and_a_number(claims, ours, goal, holds):
    assert claims.meets(ours, goal) is holds


@pytest.mark.parametrize("goal", ["60", "under 60", "<60", "== 60"])
def test_another_kind_of_goal_is_refused(claims, goal):
    with pytest.raises(ValueError, match=r"expected a goal such as '< 60', found"):
        claims.meets(1, goal)


def test_ratio_says_how_many_times_better_ours_is(claims):
    assert claims.claim("x", 2, "s", "", goal="< 5", peer=8).ratio == 4
    assert claims.claim("x", 8, "rows/s", "", goal="> 5", peer=2).ratio == 4
    assert claims.claim("x", 8, "rows/s", "", peer=2, more_is_better=True).ratio == 4
    assert claims.claim("x", 8, "s", "", goal="< 5", peer=2).ratio == 0.25


@pytest.mark.parametrize(("ours", "peer"), [(0, 5), (5, 0), (5, None)])
def test_there_is_no_ratio_to_nothing(claims, ours, peer):
    assert claims.claim("x", ours, "s", "", peer=peer).ratio is None


def test_a_claim_without_a_goal_neither_holds_nor_fails(claims):
    told = claims.claim("x", 1, "s", "")
    assert told.goal is None
    assert told.holds is None
    assert claims.holds_text(told) == ""


def test_files_have_the_agreed_form(claims, tmp_path):
    made = claims.claim("x", 2, "s", "how so", goal="< 5", peer=8)
    file = tmp_path / "new" / "x.json"
    claims.write([made], file)
    assert json.loads(file.read_text()) == {
        "claims": [
            {
                "name": "x", "ours": 2, "peer": 8, "ratio": 4.0, "goal": "< 5", "holds": True,
                "unit": "s", "how": "how so",
            }
        ]
    }  # fmt: skip
    assert claims.read(file) == [made]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"), (11, "11"), (32.84, "32.8"), (0.9312, "0.931"), (109.04, "109.0"),
        (2430, "2,430"), (1376.4, "1,376"), (0.044, "0.044"),
    ],
)  # fmt: skip
def test_numbers_show_the_digits_that_count(claims, value, text):
    assert claims.number(value) == text


@pytest.mark.parametrize(("ratio", "text"), [(74.2, "74x"), (0.23, "0.23x"), (6.41, "6.4x")])
def test_ratios(claims, ratio, text):
    assert claims.ratio_text(ratio) == text


def test_main_prints_and_writes(claims, tmp_path, capsys):
    def measure(quick):
        yield claims.claim("speed", 1 if quick else 2, "s", "so", goal="< 1.5", peer=3)

    measure.__module__ = "claims"
    file = tmp_path / "speed.json"
    assert claims.main(measure, ["--json", str(file)]) == 0
    assert capsys.readouterr().out == "speed: 2 s  peer 3  1.5x  goal < 1.5: **no**\n    so\n"
    assert [each.how for each in claims.read(file)] == ["so"]


def test_a_quick_run_says_so(claims, tmp_path):
    def measure(quick):
        yield claims.claim("speed", 1 if quick else 2, "s", "so")

    measure.__module__ = "claims"
    file = tmp_path / "speed.json"
    claims.main(measure, ["--quick", "--json", str(file)])
    (told,) = claims.read(file)
    assert (told.ours, told.how) == (1, "so; quick run")


def test_a_command_runs_in_an_empty_folder(claims):
    code = "import os; print(os.listdir()); sum(range(10**6))"
    spent = claims.must([sys.executable, "-c", code])
    assert spent.stdout == "[]\n"
    assert spent.cpu_seconds > 0
    assert spent.wall_seconds > 0


def test_a_command_runs_where_told(claims, tmp_path):
    (tmp_path / "here").touch()
    code = "import os; print(os.listdir())"
    assert claims.command([sys.executable, "-c", code], tmp_path).stdout == "['here']\n"


def test_a_command_that_fails_stops_the_benchmark(claims):
    failing = [sys.executable, "-c", "print('alas'); raise SystemExit(3)"]
    assert claims.command(failing).returncode == 3
    with pytest.raises(RuntimeError, match=r"(?s)ended with 3:\nalas"):
        claims.must(failing)


def test_median_drops_the_warm_up(claims):
    values = iter([1000.0, 5.0, 1.0, 3.0])
    assert claims.median_of(3, lambda: next(values)) == 3.0
    assert next(values, None) is None


# table -----------------------------------------------------------------------------------------


def test_the_table_stands_between_the_markers(table, project):
    assert table.main(options(project)) == 0
    text = (project / "README.md").read_text(encoding="utf-8")
    head, rest = text.split("<!-- benchmarks:begin -->\n")
    inside, tail = rest.split("<!-- benchmarks:end -->")
    assert (head, tail) == ("# Mill\n\n", "\nafter\n")
    assert inside.splitlines()[:5] == [
        "| claim | ours | peer | ratio | goal | holds |",
        "| --- | ---: | ---: | ---: | ---: | --- |",
        r"| z\|z | 1,234 rows/s | 100 | 12x |  |  |",
        "| a | 70.2 ms |  |  | < 60 | **no** |",
        r"| b | 30 ms | 2,430\* | 81x | < 60 | yes |",
    ]


def test_writing_twice_changes_nothing(table, project):
    table.main(options(project))
    once = (project / "README.md").read_bytes()
    table.main(options(project))
    assert (project / "README.md").read_bytes() == once


def test_check_tells_and_writes_nothing(table, project, capsys):
    assert table.main(options(project, "--check")) == 1
    assert "out of date" in capsys.readouterr().out
    assert (project / "README.md").read_text(encoding="utf-8") == README
    table.main(options(project))
    assert table.main(options(project, "--check")) == 0


@pytest.mark.parametrize(
    "text",
    [
        "no markers",
        "<!-- benchmarks:begin -->",
        "<!-- benchmarks:end --><!-- benchmarks:begin -->",
        README + README,
    ],
)
def test_markers_missing_or_in_disorder_are_refused(table, project, text, capsys):
    readme = project / "README.md"
    readme.write_text(text, encoding="utf-8")
    assert table.main(options(project)) == 2
    told = capsys.readouterr().err
    assert "expected the markers <!-- benchmarks:begin --> and <!-- benchmarks:end -->" in told
    assert readme.read_text(encoding="utf-8") == text


def test_no_results_are_refused(table, project, capsys):
    for file in (project / "results").iterdir():
        file.unlink()
    assert table.main(options(project)) == 2
    assert "found none; run make bench" in capsys.readouterr().err


def test_a_broken_result_is_named(table, project, capsys):
    (project / "results" / "one.json").write_text('{"claims": [{"name": 3}]}')
    assert table.main(options(project)) == 2
    assert "one.json: Expected `str`, got `int` - at `$.claims[0].name`" in capsys.readouterr().err


def test_the_recorded_results_can_be_read(table):
    results = sorted((FOLDER / "results").glob("*.json"))
    names = [each.name for file in results for each in table.read(file)]
    assert len(names) == len(set(names))


# servers ---------------------------------------------------------------------------------------

SERVER = """
import http.server, os, subprocess, sys
child = subprocess.Popen(["sleep", "600"])
class Answer(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        self.send_response(200)
        self.end_headers()
    def log_message(self, *_):
        pass
with open(sys.argv[2], "w") as file:
    print(os.getpid(), child.pid, file=file)
http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), Answer).serve_forever()
"""
BENCHMARK = """
import sys, time
sys.path.insert(0, sys.argv[1])
from serve_process import server
with server([sys.executable, "-c", sys.argv[2], "{port}", sys.argv[3]], "/", b"{}"):
    print("serving", flush=True)
    sys.stdin.read()
"""


@pytest.mark.parametrize("killed", [True, False])
def test_a_server_ends_with_its_benchmark_however_that_ends(tmp_path, killed):
    pids = tmp_path / "pids"
    words = [sys.executable, "-c", BENCHMARK, str(FOLDER), SERVER, str(pids)]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as benchmark:
        assert benchmark.stdout.readline() == b"serving\n"
        born = [int(pid) for pid in pids.read_text().split()]
        assert all(map(lives, born))
        if killed:
            benchmark.kill()
    end = time.monotonic() + 60.0
    while any(map(lives, born)) and time.monotonic() < end:
        time.sleep(0.01)
    assert not any(map(lives, born))
