"""Bad input on the command line: a clear error, the documented exit code, nothing lost."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest

from gristmill.cli.main import run

ROWS = 60
RULES = """
from gristmill.label import keywords, labeling_function

CLASSES = ["ham", "spam"]
PRIZES = keywords("prizes", ["win"], "spam")
GREETS = keywords("greets", ["hi"], "ham")
"""
GOOD = "text,label\n" + "".join(
    f"win a prize {row},spam\n" if row % 3 == 0 else f"hi mum {row},ham\n" for row in range(ROWS)
)
UNREADABLE: dict[str, tuple[str | bytes | None, str]] = {
    "missing.csv": (None, "there is no such file"),
    "empty.csv": ("", "the file is empty (0 bytes)"),
    "blank.csv": ("\n\n\n", "the file has only blank lines"),
    "semicolons.csv": (GOOD.replace(",", ";"), "with a semicolon in its name"),
    "twice.csv": ("text,text\na,b\n", "the header has column 'text' more than once"),
    "fake.parquet": ("hello", "expected parquet, which begins with b'PAR1', found b'hell'"),
    "data.xyz": (GOOD, "cannot tell the format from the suffix '.xyz'"),
}
BAD_LINES: dict[str, tuple[str | bytes, str]] = {
    "latin.csv": (
        GOOD.replace("mum 7", "caf\xe9 7").encode("latin-1"),
        "line 9: byte 0xE9 at offset 126 is not valid utf-8",
    ),
    "wide.csv": (GOOD.replace("mum 7,", "mum 7,x,"), "line 9: expected 2 fields"),
    "narrow.csv": (GOOD.replace("mum 7,ham", "mum 7"), "line 9: expected 2 fields"),
    "quote.csv": (GOOD.replace("hi mum 7", '"hi mum 7'), "line 9: a quote opens here"),
    "nul.csv": (GOOD.replace("mum 7", "m\0m 7"), "line 9: field 1 holds a NUL byte"),
}
COMMANDS = {
    "label": "label rules.py {} -o out.parquet",
    "gold": "label rules.py good.csv -o out.parquet --gold {}",
    "validate": "validate {}",
    "infer": "validate infer {} -o out.toml",
    "train": "train {} -o out --epochs 1",
    "labels": "train good.csv -o out --epochs 1 --labels {}",
    "predict": "predict bundle {} -o out.parquet",
}

Refused = Callable[..., str]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with good data, rules, a schema and a bundle."""
    folder = tmp_path_factory.mktemp("good")
    (folder / "good.csv").write_text(GOOD)
    (folder / "rules.py").write_text(RULES)
    good, bundle, schema = (str(folder / name) for name in ("good.csv", "bundle", "schema.toml"))
    assert run(["-q", "train", good, "-o", bundle, "--epochs", "2"]) == 0
    assert run(["-q", "validate", "infer", good, "-o", schema]) == 0
    return folder


@pytest.fixture
def folder(trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    shutil.copytree(trained, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def refused(folder: Path, capfd: pytest.CaptureFixture[str]) -> Refused:
    """Return a function that runs a command, expects an exit code and returns what it said.

    Whatever is refused, every file that was there must still be there, unchanged.
    """

    def refuse(line: str, code: int, *words: str, fix: bool = True) -> str:
        before = contents(folder)
        capfd.readouterr()
        assert run(["-q", *line.split()]) == code
        said = capfd.readouterr().err
        assert said.startswith("error: ") or code == 2, said
        assert "Traceback" not in said
        assert "unexpected" not in said
        assert "\n  fix: " in said or not fix, said
        for word in words:
            assert word in said
        after = contents(folder)
        assert {name: after.get(name) for name in before} == before
        assert not [name for name in after if ".tmp" in name]
        return said

    return refuse


def contents(folder: Path) -> dict[str, bytes]:
    """Return the bytes of every file, but for what Python itself compiles."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }


def write(name: str, body: str | bytes | None) -> str:
    if body is not None:
        Path(name).write_bytes(body if isinstance(body, bytes) else body.encode())
    return name


STRICT = [command for command in COMMANDS if command not in ("validate", "infer")]
MENDED = ("semicolons.csv", "twice.csv")
"""What stops those who need exact input; validation says what it mended, and goes on."""
ANSWERED = (*MENDED, "latin.csv")
"""What prediction mends, says so, and answers."""


@pytest.mark.parametrize(
    ("command", "name"),
    [(command, name) for command in STRICT for name in [*UNREADABLE, *BAD_LINES]
     if command != "predict" or name not in ANSWERED]
    + [(command, name) for command in ("validate", "infer") for name in UNREADABLE
       if name not in MENDED],
)  # fmt: skip
def test_a_table_that_cannot_be_read(refused: Refused, command: str, name: str) -> None:
    body, message = {**UNREADABLE, **BAD_LINES}[name]
    words = message.split(": ", 1) if name in BAD_LINES else [message]
    refused(COMMANDS[command].format(write(name, body)), 5, name, *words)
    assert not list(Path().glob("out*"))


@pytest.mark.parametrize("name", ANSWERED)
def test_a_table_that_prediction_mends(
    folder: Path, capfd: pytest.CaptureFixture[str], name: str
) -> None:
    write(name, {**UNREADABLE, **BAD_LINES}[name][0])
    capfd.readouterr()
    assert run(["predict", "bundle", name, "-o", "out.parquet"]) == 0
    assert f"note: {name}: " in capfd.readouterr().err


@pytest.mark.parametrize("name", [name for name in UNREADABLE if name not in MENDED])
@pytest.mark.parametrize("option", ["{}", "good.csv --baseline {}", "good.csv --serving {}"])
def test_a_check_of_what_cannot_be_read(refused: Refused, name: str, option: str) -> None:
    body, message = UNREADABLE[name]
    refused(f"validate check {option.format(write(name, body))}", 5, name, message)


@pytest.mark.parametrize(
    ("name", "note"),
    [
        ("semicolons.csv", "cells are separated by ';'"),
        ("twice.csv", "text_2"),
        ("latin.csv", "the file is not UTF-8: read as cp1252"),
    ],
)
def test_what_was_mended_is_told(
    refused: Refused, capfd: pytest.CaptureFixture[str], name: str, note: str
) -> None:
    body = {**UNREADABLE, **BAD_LINES}[name][0]
    write(name, body)
    run(["-q", "validate", "check", name])
    assert note in " ".join(capfd.readouterr().out.split())


@pytest.mark.parametrize("name", [name for name in BAD_LINES if name != "latin.csv"])
def test_a_check_sets_bad_lines_aside_and_goes_on(refused: Refused, name: str) -> None:
    write(name, BAD_LINES[name][0])
    outputs = "--good good.parquet --bad bad.parquet"
    refused(f"validate check {name} {outputs}", 3, f"{name}: the data broke its")
    good, lost = pl.read_parquet("good.parquet"), pl.read_csv("bad.unreadable.csv")
    assert lost["line"][0] == 9
    if name != "quote.csv":  # an open quote swallows what follows it
        assert (good.height, lost.height) == (ROWS - 1, 1)


@pytest.mark.parametrize(
    ("command", "code", "message"),
    [
        ("label", 5, "header.csv: expected at least one row, found a header with 2 columns"),
        ("gold", 5, "header.csv: expected at least one row, found a header with 2 columns"),
        ("infer", 5, "header.csv: expected rows to infer a schema from, found none"),
        ("train", 5, "header.csv: expected at least one row, found a header with 2 columns"),
    ],
)
def test_a_header_without_rows(refused: Refused, command: str, code: int, message: str) -> None:
    write("header.csv", "text,label\n")
    refused(COMMANDS[command].format("header.csv"), code, message)
    assert not list(Path().glob("out*"))


def test_no_rows_are_profiled_checked_and_answered(refused: Refused) -> None:
    write("header.csv", "text,label\n")
    assert run(["-q", "validate", "header.csv"]) == 0
    refused("validate check header.csv", 3, "header.csv: the data broke its schema")
    assert run(["-q", *COMMANDS["predict"].format("header.csv").split()]) == 0
    answers = pl.read_parquet("out.parquet")
    assert (answers.height, answers.columns[:3]) == (0, ["row_id", "prediction_id", "label"])


@pytest.mark.parametrize(
    ("body", "code", "message"),
    [
        ("def f(:\n", 2, "rules_bad.py:1"),
        ("import sys\nsys.exit(0)\n", 2, "rules_bad.py:2: SystemExit: 0"),
        ("import no_such_package\n", 2, "ModuleNotFoundError"),
        (RULES.replace('["ham", "spam"]', '["spam"]'), 5, "expected at least two classes, found 1"),
        (RULES.replace('"spam")', '"eggs")'), 5, "function 'prizes', row 0: voted 'eggs'"),
        (
            RULES.replace('"win"', '"zzz"').replace('"hi"', '"yyy"'),
            5,
            "rules_bad.py: no labelling function votes on any of the 60 rows of good.csv",
        ),
        (
            f"{RULES}\n@labeling_function\ndef f(row):\n    return 9\n",
            5,
            "function 'f', row 0: vot",
        ),
        (f"{RULES}\n@labeling_function\ndef f(row):\n    return row.nix\n", 5, "no column 'nix'"),
    ],
)
def test_mistakes_in_labelling_functions(
    refused: Refused, body: str, code: int, message: str
) -> None:
    write("rules_bad.py", body)
    refused("label rules_bad.py good.csv -o out.parquet", code, message, fix=False)
    assert not Path("out.parquet").exists()


@pytest.mark.parametrize("mishap", ["1 // (row.row_id % 7)", "sys.exit(3) if row.row_id % 7 == 0 "
                                    "else 1"])  # fmt: skip
def test_a_function_that_fails_on_some_rows(
    refused: Refused, capfd: pytest.CaptureFixture[str], mishap: str
) -> None:
    body = f"{RULES}\nimport sys\n\n@labeling_function\ndef brittle(row):\n    {mishap}\n"
    name = f"rules_{'exit' if 'exit' in mishap else 'raise'}.py"
    write(name, body)
    said = refused(f"label {name} good.csv -o out.parquet", 5, "function 'brittle', row 0: raised")
    assert "ZeroDivisionError" in said or "SystemExit: 3" in said
    assert not Path("out.parquet").exists()
    arguments = f"-q label {name} good.csv -o out.parquet --on-error abstain"
    assert run(arguments.split()) == 0
    assert "note: failed on some rows: brittle (9)" in capfd.readouterr().out
    assert pl.read_parquet("out.parquet").height == ROWS


@pytest.mark.parametrize(
    ("gold", "message"),
    [
        ("row_id,label\n1,eggs\n", "gold.csv, row 1: gold label 'eggs' is none of the classes"),
        ("row_id,label\n1,7\n", "gold.csv, row 1: gold label 7 is none of the classes"),
        ("row_id,label\n900,ham\n", "gold.csv: gold labels row 900, which is not among the 60"),
        ("row_id,label\nx,ham\n", "gold.csv: gold labels row 'x', which is not among the 60"),
        ("row_id,label\n1,ham\n1,spam\n", "gold.csv: gold labels row 1 as 'ham' and as 'spam'"),
        ("text,said\nhi,ham\n", "gold.csv: expected gold with columns 'row_id' and 'label'"),
    ],
)
def test_gold_that_does_not_fit(refused: Refused, gold: str, message: str) -> None:
    write("gold.csv", gold)
    refused(COMMANDS["gold"].format("gold.csv"), 5, message, fix="none of" not in message)


@pytest.mark.parametrize(
    ("schema", "message"),
    [
        (None, "bad.toml: the schema cannot be read: No such file"),
        ("", "bad.toml: the schema is empty"),
        ("nix = 3", "bad.toml, line 1, nix: unknown key 'nix'"),
        ("[[", "bad.toml: not valid TOML"),
        (b"\xe9\xff", "bad.toml: expected a schema in UTF-8 text"),
    ],
)
def test_a_schema_that_cannot_be_read(
    refused: Refused, schema: str | bytes | None, message: str
) -> None:
    write("bad.toml", schema)
    refused("validate check good.csv --schema bad.toml", 2, message, fix=False)


@pytest.mark.parametrize(
    ("body", "options", "code", "message"),
    [
        ("text,label\n" + "hi,ham\n" * 9, "", 9, "data.csv: expected at least two classes, found"),
        ("text,label\n" + "hi,\n" * 9, "", 9, "data.csv: none of the 9 rows has a label"),
        (GOOD, "--classes ham", 9, "data.csv: label 'spam' is not one of the classes ham"),
        (GOOD, "--classes ham,eggs", 9, "data.csv: label 'spam' is not one of the classes ham, e"),
        (GOOD, "--label nix", 9, "data.csv: no label column 'nix'"),
        (GOOD, "--text nix", 5, "data.csv: expected a column 'nix', found row_id, te"),
        ("text,label\nhi,ham\nwin,spam\n", "", 9, "data.csv: no validation rows with a weight"),
        (GOOD, "--labels lost.csv", 9, "lost.csv: none of the 60 rows has a label"),
        (GOOD, "--labels unknown.csv", 9, "unknown.csv: none of the 60 rows has a label"),
        ("row_id,text,label\n1,a,x\n1,b,y\n", "", 5, "data.csv: column 'row_id' has value 1 more"),
        (GOOD, "-o taken", 8, "taken: expected a new folder, an empty one or a bundle"),
        (GOOD, "-o good.csv/out", 8, "good.csv: expected a folder to write to, found a file"),
    ],
)
def test_training_that_cannot_start(
    refused: Refused, body: str, options: str, code: int, message: str
) -> None:
    write("data.csv", body)
    write("lost.csv", "row_id,label\n500,ham\n501,spam\n")
    write("unknown.csv", "row_id,label\n1,-1\n2,-1\n")
    Path("taken").mkdir()
    write("taken/mine.txt", "keep me")
    target = "" if "-o" in options else "-o out"
    refused(f"train data.csv {target} --epochs 1 {options}", code, message, fix=False)
    assert not Path("out").exists()


def test_a_checkpoint_of_garbage_is_said_and_not_used(
    folder: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    arguments = ["train", "good.csv", "-o", "out", "--epochs", "1", "--checkpoint", "state"]
    assert run(["-q", *arguments]) == 0
    fresh = contents(folder / "out")
    (folder / "state" / "checkpoint.safetensors").write_bytes(b"garbage")
    assert run(arguments) == 0
    assert "is not used: it cannot be read" in capfd.readouterr().err
    assert contents(folder / "out") == fresh


def change_byte(bundle: Path) -> None:
    data = bytearray((bundle / "weights.safetensors").read_bytes())
    data[-1] ^= 1
    (bundle / "weights.safetensors").write_bytes(data)


def link_weights(bundle: Path) -> None:
    (bundle / "weights.safetensors").rename(bundle.parent / "elsewhere")
    (bundle / "weights.safetensors").symlink_to(bundle.parent / "elsewhere")


def climb(bundle: Path) -> None:
    manifest = bundle / "manifest.json"
    manifest.write_text(manifest.read_text().replace('"graph.json"', '"../graph.json"'))


TAMPERED: dict[str, tuple[Callable[[Path], object], str]] = {
    "a changed byte": (change_byte, "weights.safetensors: expected SHA-256"),
    "an extra file": (lambda bundle: (bundle / "run.py").write_text("x"), "run.py: expected only"),
    "a hidden file": (lambda bundle: (bundle / ".x").write_text("x"), ".x: expected only"),
    "a missing file": (lambda bundle: (bundle / "graph.json").unlink(), "graph.json: expected a f"),
    "a link": (link_weights, "weights.safetensors: expected a plain file"),
    "a way out": (climb, "expected graph.json among the files, found none"),
    "a manifest of garbage": (
        lambda bundle: (bundle / "manifest.json").write_text("{"),
        "manifest.json: not a manifest",
    ),
    "no manifest": (lambda bundle: (bundle / "manifest.json").unlink(), "manifest.json: expected"),
    "no folder": (shutil.rmtree, "bundle: expected the folder of a bundle, found none"),
}


@pytest.mark.parametrize("case", TAMPERED)
@pytest.mark.parametrize("command", ["predict bundle good.csv -o out.parquet", "serve bundle"])
def test_a_bundle_that_was_tampered_with(
    refused: Refused, folder: Path, case: str, command: str
) -> None:
    tamper, message = TAMPERED[case]
    tamper(folder / "bundle")
    refused(command, 8, "error: bundle", message)
    assert not Path("out.parquet").exists()


@pytest.mark.parametrize(
    ("line", "code", "message"),
    [
        ("predict bundle good.csv -o out.xyz", 2, "out.xyz: cannot tell what to write"),
        ("predict bundle good.parquet -o good.parquet", 2, "the output would replace the data"),
        ("label rules.py good.csv -o out.xyz", 5, "cannot tell the format from the suffix '.xyz'"),
        ("label no_rules.py good.csv -o out.parquet", 2, "there is no file no_rules.py"),
        ("label rules.py . -o out.parquet", 2, "is a directory"),
        ("train good.csv", 2, "Missing option '-o'"),
        ("serve bundle --port 99999", 2, "99999"),
        ("serve bundle --max-body huge", 2, "--max-body: expected a size such as '2GB'"),
        ("serve bundle --host no.such.invalid", 10, "no such host to listen on: 'no.such.invalid'"),
        ("sevre bundle", 2, "Did you mean 'serve'?"),
    ],
)
def test_wrong_calls(refused: Refused, line: str, code: int, message: str) -> None:
    pl.read_csv("good.csv").write_parquet("good.parquet")
    refused(line, code, message, fix=False)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
@pytest.mark.parametrize("command", ["label", "infer", "train", "predict"])
def test_a_folder_that_may_not_be_written(refused: Refused, folder: Path, command: str) -> None:
    closed = folder / "closed"
    closed.mkdir(mode=0o555)
    line = COMMANDS[command].format("good.csv").replace(" out", " closed/out")
    code = {"label": 5, "train": 8}.get(command, 1)
    refused(line, code, "closed", fix=False)
