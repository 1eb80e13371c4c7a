"""`gristmill validate` and its commands, as a user types them."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from gristmill.cli.main import run
from gristmill.cli.validate_options import new_folder
from gristmill.core.errors import UsageError

Say = Callable[..., str]


def _messages(rows: int, seed: int) -> pl.DataFrame:
    rng = np.random.default_rng(seed)
    return pl.DataFrame(
        {
            "id": np.arange(rows) + 10_000 * seed,
            "text": [f"{n % 10} {'x' * int(n)}" for n in rng.integers(5, 60, rows)],
            "label": rng.choice(["ham", "spam"], rows, p=[0.8, 0.2]),
            "hour": rng.integers(0, 24, rows),
        }
    )


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with clean data, later data with one bad cell and a torn line, and a schema."""
    monkeypatch.chdir(tmp_path)
    _messages(2000, 1).write_csv("train.csv")
    _messages(800, 2).write_csv("later.csv")
    lines = Path("later.csv").read_text().splitlines()
    lines[8] = lines[8].rsplit(",", 1)[0] + ",7h"
    Path("bad.csv").write_text("\n".join([*lines, "torn"]) + "\n")
    assert run(["-q", "validate", "infer", "train.csv", "--statistics", "base"]) == 0
    return tmp_path


@pytest.fixture
def say(folder: Path, capsys: pytest.CaptureFixture[str]) -> Say:
    """Run a command line, check its exit code, and return what it printed."""

    def run_it(line: str, code: int = 0) -> str:
        capsys.readouterr()
        found = run(["-q", "validate", *line.split()])
        printed = capsys.readouterr()
        assert found == code, printed.out + printed.err
        return printed.out + printed.err

    return run_it


def test_a_profile_prints_every_column(say: Say) -> None:
    printed = say("train.csv")
    assert printed.startswith("train.csv: 2,000 rows, 0 duplicates\n")
    for word in ("text", "label", "hour", "string"):
        assert word in printed
    assert all(len(line) <= 80 for line in printed.splitlines())


def test_a_profile_as_json_and_as_a_page(say: Say) -> None:
    assert json.loads(say("train.csv --json"))["features"]["hour"]["kind"] == "int"
    say("train.csv --baseline later.csv --page page.html")
    assert "<html" in Path("page.html").read_text()


def test_kept_statistics_add_up(say: Say) -> None:
    say("train.csv -o one")
    say("later.csv -o two")
    assert "2,800 rows" in say("one two")
    assert "2,800 rows" in say("train.csv later.csv")
    assert "found something there" in say("later.csv -o one", 2)


def test_slices_are_listed(say: Say) -> None:
    assert "slice label = spam: " in say("train.csv --slice label")


def test_a_schema_is_not_overwritten(say: Say) -> None:
    assert "there is a schema already" in say("infer train.csv", 2)
    assert "4 features, inferred from 2,000 rows" in say("infer train.csv --force")


def test_clean_data_exits_with_zero(say: Say) -> None:
    printed = say("check later.csv --baseline train.csv")
    assert printed.startswith("800 rows: no findings\n")
    assert say("check later.csv --baseline base").startswith("800 rows: no findings\n")


def test_errors_exit_with_three_and_rows_are_set_aside(say: Say) -> None:
    printed = say("check bad.csv --good good.parquet --bad bad.parquet -o report", 3)
    assert "2 errors" in printed
    assert "'7h' (row 7)" in printed
    assert pl.read_parquet("good.parquet").height == 799
    assert pl.read_parquet("good.parquet")["hour"].dtype == pl.Int64
    set_aside = pl.read_parquet("bad.parquet")
    assert set_aside["hour"].to_list() == ["7h"]
    assert set_aside["reasons"].to_list() == [["wrong_type: hour"]]
    assert pl.read_csv("bad.unreadable.csv")["text"].to_list() == ["torn"]


def test_a_baseline_and_rows_set_aside_may_be_urls(say: Say, folder: Path) -> None:
    import fsspec

    store, place = fsspec.filesystem("memory"), f"memory://{folder.name}"
    store.pipe(f"{place}/train.csv", Path("train.csv").read_bytes())
    line = f"check bad.csv --baseline {place}/train.csv"
    printed = say(f"{line} --good {place}/good.parquet --bad {place}/bad.csv", 3)
    assert f"written: {place}/good.parquet" in printed
    assert pl.read_parquet(store.cat(f"{place}/good.parquet")).height == 799
    assert b"wrong_type: hour" in store.cat(f"{place}/bad.csv")
    assert "label" in say(f"later.csv --baseline {place}/train.csv")
    store.rm(place, recursive=True)


def test_a_report_is_kept_and_shown_again(say: Say) -> None:
    first = say("check bad.csv --baseline base -o report --json", 3)
    found = json.loads(first.partition("error: ")[0])
    assert found["ok"] is False
    assert json.loads(say("report report --json")) == found
    printed = say("report report --page page.html --junit junit.xml")
    assert "written: page.html" in printed
    assert "<testsuites" in Path("junit.xml").read_text()
    assert "there is no report here" in say("report base", 5)


def test_changes_are_accepted_and_recorded(say: Say) -> None:
    table = pl.read_csv("later.csv").with_columns(
        label=pl.when(pl.col("hour") == 3).then(pl.lit("scam")).otherwise("label")
    )
    table.write_csv("new.csv")
    say("check new.csv -o report", 3)
    text = "# ours\n" + Path("schema.toml").read_text()
    Path("schema.toml").write_text(text)
    printed = say("accept report --code unseen_value --author ada --yes")
    assert '"scam"' in printed
    assert "1 accepted" in printed
    assert Path("schema.toml").read_text().startswith("# ours\n")
    assert '"author":"ada"' in Path("schema.accepted.jsonl").read_text()
    say("check new.csv")
    assert "no proposed edit has the code 'nix'" in say("accept report --code nix --yes", 2)


def test_nothing_to_accept(say: Say) -> None:
    say("check later.csv -o report")
    assert "no changes to accept" in say("accept report")


def test_schemas_are_compared(say: Say) -> None:
    Path("new.toml").write_text(Path("schema.toml").read_text().replace('"spam"', '"scam"'))
    assert "scam" in say("diff schema.toml new.toml")
    assert say("diff schema.toml schema.toml") == "no difference\n"


def test_versions_are_kept_in_a_project(say: Say, folder: Path) -> None:
    assert "no project here" in say("versions trips", 7)
    (folder / ".gristmill").mkdir()
    assert "trips version 1 kept" in say("versions trips --save schema.toml -m first")
    assert "first" in say("versions trips")
    assert say("versions trips --show 1").strip() == Path("schema.toml").read_text().strip()
    assert "fix: use one of" in say("versions trips --show 9", 2)


def test_rows_are_parted(say: Say) -> None:
    printed = say("rows bad.csv --good good.csv --bad worse.jsonl")
    assert "799 good rows in good.csv" in printed
    assert "1 line that cannot be read as rows in worse.unreadable.csv" in printed
    assert json.loads(say("rows bad.csv --json"))["reasons"] == {"wrong_type: hour": 1}


def test_commands_say_the_same_on_an_engine(say: Say) -> None:
    for command, code in (("later.csv", 0), ("check bad.csv", 3), ("rows bad.csv --json", 0)):
        assert say(f"{command} --engine inline", code) == say(command, code)
    assert "unknown engine 'cloud'" in say("rows bad.csv --engine cloud", 2)


def test_parts_that_fail_are_left_out_on_request(say: Say) -> None:
    pl.read_csv("train.csv").write_parquet("broken.parquet")
    data = Path("broken.parquet").read_bytes()
    half = len(data) // 2
    Path("broken.parquet").write_bytes(data[:4] + bytes(half) + data[4 + half :])
    assert "--skip-failed" in say("train.csv broken.parquet --engine inline", code=5)
    told = say("train.csv broken.parquet --engine inline --skip-failed -o rest", code=5)
    assert "note: 1 part with 2,000 rows could not be worked on" in told
    assert "written: rest" in told
    told = say("check train.csv broken.parquet --skip-failed", code=3)
    assert "skipped_part" in told
    assert "neither good nor bad" in say(
        "check train.csv broken.parquet --skip-failed --bad x.csv", code=2
    )


def test_rules_that_cannot_be_applied_to_rows_are_told(say: Say) -> None:
    rules = '[rules.a]\nholds = "hour > none"\n[rules.b]\nholds = "odd(hour)"\n'
    Path("schema.toml").write_text(Path("schema.toml").read_text() + rules)
    printed = say("rows later.csv")
    assert "800 good rows" in printed
    assert "note: rule 'a' (hour > none) needs 'none', which is not there" in printed
    assert "note: rule 'b' (odd(hour)) is no SQL expression" in printed


def test_skew_by_join(say: Say) -> None:
    table = pl.read_csv("later.csv").with_columns(hour=pl.col("hour") % 23)
    table.write_csv("served.csv")
    printed = say("skew later.csv served.csv --on id", 3)
    assert "800 rows joined" in printed
    assert "hour" in printed
    assert "800 rows joined" in say("skew later.csv later.csv --on id")


def test_history_needs_days(say: Say) -> None:
    say("train.csv -o 2024-05-30")
    assert "expected statistics of two days or more" in say("history 2024-05-30", 2)
    say("later.csv -o 2024-05-31")
    say("history 2024-05-30 2024-05-31")
    assert "expected a folder named by its day" in say("history base base", 2)


def test_a_function_is_fuzzed(say: Say) -> None:
    Path("code_under_test.py").write_text(
        "def features(table):\n"
        "    return [1 / hour for hour in table['hour'] if isinstance(hour, int)]\n"
        "def two(one, other):\n    return one\n"
    )
    printed = say("fuzz code_under_test.py:features --rows 20", 3)
    assert "ZeroDivisionError: division by zero" in printed
    assert "expected a function of one table, found two(one, other)" in say(
        "fuzz code_under_test.py:two", 2
    )
    assert "there is no function 'nix'" in say("fuzz code_under_test.py:nix", 2)
    assert "expected a bundle's folder or FILE.py:FUNCTION" in say("fuzz nix", 2)


def test_tfdv_files_go_both_ways(say: Say) -> None:
    say("export schema.toml -o schema.pbtxt")
    assert "4 features" in say("import schema.pbtxt -o back.toml")
    say("export base -o stats.pbtxt")
    say("import stats.pbtxt --statistics -o imported")
    say("check bad.csv -o report", 3)
    say("export report -o anomalies.pbtxt")
    assert "UNEXPECTED_DATA_TYPE" in Path("anomalies.pbtxt").read_text()
    assert "there is a schema already" in say("import schema.pbtxt", 2)


def test_the_entry_point_gives_the_exit_codes(say: Say) -> None:
    say("nothing.csv", 5)
    Path("schema.toml").write_text('[features.a]\ntyp = "int"\n')
    assert "unknown key 'typ'" in say("check later.csv", 2)


def test_help_names_the_commands(say: Say) -> None:
    printed = say("--help")
    for name in ("infer", "check", "accept", "fuzz", "import"):
        assert f"validate {name}" in printed


def test_what_was_mended_while_reading_is_told(say: Say) -> None:
    text = Path("later.csv").read_text().replace(",", ";") + "torn\n"
    Path("odd.csv").write_text(text)
    mended = ["note: cells are separated by ';', not by ','", "note: 1 line of 801 cannot be read"]
    for line in ("odd.csv", "infer odd.csv -o odd.toml"):
        printed = say(line)
        assert all(note in printed for note in mended)
        assert all(len(row) <= 80 for row in printed.splitlines())
    notes = json.loads(say("odd.csv --json"))["notes"]
    assert len(notes) == 2
    assert json.loads(say("infer odd.csv -o odd.toml --force --json"))["notes"] == notes


def _unseen(say: Say) -> str:
    table = pl.read_csv("later.csv").with_columns(
        label=pl.when(pl.col("hour") == 3).then(pl.lit("scam")).otherwise("label")
    )
    table.write_csv("new.csv")
    say("check new.csv -o report", 3)
    return Path("schema.toml").read_text()


def test_nothing_is_accepted_without_a_yes(say: Say, monkeypatch: pytest.MonkeyPatch) -> None:
    before = _unseen(say)
    monkeypatch.setattr("sys.stdin", io.StringIO("n\n"))
    assert say("accept report", 1).endswith("nothing accepted\n")
    monkeypatch.setattr("sys.stdin", io.StringIO(""))
    assert "fix: accept with --yes" in say("accept report", 2)
    found = json.loads(say("accept report --json"))
    assert found["accepted"] == []
    assert [(each["feature"], each["key"]) for each in found["proposed"]] == [("label", "domain")]
    assert Path("schema.toml").read_text() == before
    monkeypatch.setattr("sys.stdin", io.StringIO("y\n"))
    assert "1 accepted" in say("accept report")
    assert Path("schema.toml").read_text() != before


@pytest.mark.parametrize(
    ("line", "code", "message"),
    [
        ("check bad.csv --good bad.csv", 2, "found one that is read"),
        ("check bad.csv --bad schema.toml", 2, "found one that is read"),
        ("check bad.csv --good x.csv --bad ./x.csv", 2, "found one that is written already"),
        ("check bad.csv -o base", 2, "found something there"),
        ("check bad.csv --good x.csv.gz", 5, "rows are not written gzipped"),
        ("check bad.csv --good x.odd", 5, "cannot tell the format"),
        ("rows bad.csv --good bad.csv", 2, "found one that is read"),
        ("rows bad.csv --bad x.odd", 5, "cannot tell the format"),
        ("train.csv -o base", 2, "found something there"),
        ("train.csv --page train.csv", 2, "found one that is read"),
        ("infer train.csv -o new.toml --statistics base", 2, "found something there"),
        ("infer train.csv -o train.csv --force", 2, "found one that is read"),
        ("report base", 5, "there is no report here"),
    ],
)
def test_outputs_are_refused_before_the_work(say: Say, line: str, code: int, message: str) -> None:
    before = {path: path.stat().st_mtime_ns for path in Path().iterdir()}
    printed = say(line, code)
    assert message in printed
    assert "800 rows" not in printed
    assert {path: path.stat().st_mtime_ns for path in Path().iterdir()} == before


def test_a_folder_that_holds_no_statistics(say: Say) -> None:
    Path("days").mkdir()
    for line in ("days", "check days", "check later.csv --baseline days"):
        assert "expected a file, or a folder of kept statistics" in say(line, 5)


def test_the_verdict_is_told_even_where_it_cannot_be_kept(say: Say) -> None:
    Path("file").write_text("")
    printed = say("check later.csv --page file/page.html", 1)
    assert printed.startswith("800 rows: no findings\n")
    assert "error: " in printed


def test_two_checks_cannot_write_one_folder(folder: Path) -> None:
    def write() -> None:
        with new_folder(folder / "report") as draft:
            (draft / "ours").write_text("")
            (folder / "report").mkdir()
            (folder / "report" / "theirs").write_text("")

    with pytest.raises(UsageError, match="found something there"):
        write()
    assert [path.name for path in (folder / "report").iterdir()] == ["theirs"]
    assert not list(folder.glob(".*"))


def test_what_code_under_test_prints_stays_out_of_the_answer(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("loud.py").write_text("def features(table):\n    print('hello')\n")
    capsys.readouterr()
    assert run(["-q", "validate", "fuzz", "loud.py:features", "--rows", "0", "--json"]) == 0
    printed = capsys.readouterr()
    assert json.loads(printed.out)["ok"] is True
    assert "hello" in printed.err
