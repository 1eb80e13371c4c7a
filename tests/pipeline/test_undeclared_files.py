"""A step that reads a file of the project by a name in its code is told so."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from gristmill.core.opened_files import noting_opened_files
from gristmill.core.progress import reporting
from gristmill.pipeline.undeclared_files import undeclared_files

PIPELINE = """
from pathlib import Path
from gristmill import step
HERE = Path(__file__).parent

@step
def reads(known=HERE / "known.txt", folder=HERE / "folder"):
    (HERE / "written.txt").write_text("x")
    return [known.read_text(), open(folder / "in.txt").read(), (HERE / "codes.csv").read_text()]
"""


class Told:
    """A reporter that keeps what is said."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def say(self, text: str) -> None:
        self.lines.append(text.strip())


def test_what_no_setting_names_is_told(user: Any) -> None:
    (user.root / "folder").mkdir()
    for name in ("known.txt", "folder/in.txt", "codes.csv"):
        (user.root / name).write_text(name)
    told = Told()
    with reporting(told):  # type: ignore[arg-type]
        user.write(pipeline=PIPELINE).run()
    assert told.lines == [
        "note: it has read codes.csv, which no setting names: a change of it is not seen"
    ]


def test_only_reads_within_the_block_are_noted(tmp_path: Path) -> None:
    for name in ("a", "b", "c"):
        (tmp_path / name).write_text(name)
    (tmp_path / "a").read_text()
    with noting_opened_files() as opened:
        (tmp_path / "b").read_text()
        (tmp_path / "c").write_text("")
    (tmp_path / "c").read_text()
    assert [Path(path).name for path in opened if path.startswith(str(tmp_path))] == ["b"]


def test_code_hidden_folders_and_the_world_outside_are_no_data(tmp_path: Path) -> None:
    files = ["x.py", ".gristmill/value.json", "data/y.csv", "venv/site-packages/p/z.txt"]
    for name in files:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("")
    opened = [*(str(tmp_path / name) for name in files), "/etc/hostname", str(tmp_path / "gone")]
    assert undeclared_files(opened, tmp_path, {}) == ["data/y.csv"]
    assert undeclared_files(opened, tmp_path, {"path": tmp_path / "data"}) == []
