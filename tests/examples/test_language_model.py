"""The language model example's own code, at the smallest size; text made up here."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from gristmill import train
from gristmill.core.errors import UsageError

FOLDER = Path(__file__).parents[2] / "examples" / "language_model"
MODULES = ("curve", "gpt", "reading", "training")
SMALL = ["--width", "12", "--depth", "1", "--length", "8", "--batch", "16", "--letters", "20"]
WEIGHTS = re.compile(r"^weights: [0-9a-f]{32}$", re.MULTILINE)


@pytest.fixture(autouse=True)
def on_path(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.syspath_prepend(str(FOLDER))
    yield
    for name in MODULES:
        sys.modules.pop(name, None)


@pytest.fixture
def gpt() -> Any:
    import gpt

    return gpt


@pytest.fixture
def training() -> Any:
    import training

    assert Path(training.__file__).parent == FOLDER
    return training


@pytest.fixture
def text(tmp_path: Path) -> str:
    path = tmp_path / "text.txt"
    path.write_text("the cat sat on the mat, the rat sat on the cat. " * 30)
    return str(path)


def small(gpt: Any, **sizes: Any) -> Any:
    return train.seeded(lambda: gpt.GPT(length=8, width=12, depth=2, heads=4, **sizes), 0)


def test_no_token_sees_those_after_it(gpt: Any) -> None:
    model = small(gpt).eval()
    ids = torch.arange(8)[None]
    changed = ids.clone()
    changed[0, 5] = 200
    before, after = model(ids)[0], model(changed)[0]
    assert torch.equal(before[:5], after[:5])
    assert (before[5:] != after[5:]).any(dim=1).all()


def test_tied_weights_are_one(gpt: Any) -> None:
    tied, free = small(gpt), small(gpt, tied=False)
    assert tied.head.weight is tied.tokens.weight
    counts = [sum(each.numel() for each in model.parameters()) for model in (tied, free)]
    assert counts[1] - counts[0] == 256 * 12


def test_writing_is_the_same_for_the_same_seed(gpt: Any) -> None:
    model = small(gpt)
    first = gpt.write(model, b"abc", 30, seed=1)
    assert (first[:3], len(first)) == (b"abc", 33)
    assert gpt.write(model, b"abc", 30, seed=1) == first
    assert gpt.write(model, b"abc", 30, seed=2) != first


def test_the_manual_of_python_is_there() -> None:
    from reading import read_text

    manual = read_text("python")
    assert len(manual) > 100_000
    assert manual == read_text("python")


def test_a_text_that_is_not_there(tmp_path: Path) -> None:
    from reading import read_text

    gone = tmp_path / "gone.txt"
    message = f"there is no file {gone}\n  fix: name a file, shakespeare or python"
    with pytest.raises(UsageError, match=f"^{re.escape(message)}$"):
        read_text(str(gone))


def test_shakespeare_comes_from_the_catalogue(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import reading

    (tmp_path / "text").write_bytes(b"To be or not to be")
    monkeypatch.setattr(reading.data, "fetch", lambda name: tmp_path / "text")
    assert reading.read_text("shakespeare") == b"To be or not to be"


def test_a_curve_falls_as_its_losses_do() -> None:
    from curve import curve

    lines = curve({step: 8.0 - step / 4 for step in range(24)}).splitlines()
    assert len(lines) == 12
    assert lines[0] == "steps     0 to 1     loss  7.875 " + "#" * 40
    assert lines[-1] == "steps    22 to 23    loss  2.375 " + "#" * 12
    assert curve({7: 1.0}) == "steps     7 to 7     loss  1.000 " + "#" * 40
    assert curve({}) == "no steps"


@pytest.fixture
def call(training: Any, text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Any:
    """Call the script; return what it printed."""

    def called(*arguments: str, folder: str = "run") -> str:
        options = ["--text", text, "--folder", str(tmp_path / folder), *SMALL, *arguments]
        assert training.main(options) == 0
        return capsys.readouterr().out

    return called


def test_training_within_a_budget_ends_with_the_plain_weights(call: Any, tmp_path: Path) -> None:
    plan = call("--explain")
    assert "model: cut by exported" in plan
    spilled = call()
    assert spilled.startswith(plan.partition("\n")[0])
    assert re.search(r"steps +0 to \d+ +loss  5\.\d+ #{40}\n", spilled)
    assert "</svg>" in (tmp_path / "run" / "gantt.html").read_text()
    assert (tmp_path / "run" / "trace.json").stat().st_size > 100
    written = WEIGHTS.findall(spilled)
    assert len(written) == 1
    # Its folder holds the end of the run, so that nothing is left to train.
    assert WEIGHTS.findall(call("--memory", "50MB")) == written
    assert WEIGHTS.findall(call("--plain", folder="other")) == written


def test_a_mistake_is_told_without_a_stack_trace(
    training: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    assert training.main(["--text", "nowhere.txt"]) == UsageError.exit_code
    assert capsys.readouterr().out.startswith("error: there is no file nowhere.txt\n")
