"""The language model example's own code, at the smallest size; text made up here."""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from gristmill import train
from gristmill.core.errors import UsageError

FOLDER = Path(__file__).parents[2] / "examples" / "language_model"
MODULES = ("gpt", "reading", "training")
SMALL = ["--width", "12", "--depth", "2", "--length", "8", "--batch", "16", "--letters", "20"]


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
    return train.seeded(lambda: gpt.GPT(length=8, width=12, depth=2, heads=3, **sizes), 0)


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
    message = f"there is no file {gone}\n  fix: name a file, python or shakespeare"
    with pytest.raises(UsageError, match=f"^{re.escape(message)}$"):
        read_text(str(gone))


def test_plain_training_learns_and_repeats(
    training: Any, text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["--plain", "--text", text, "--epochs", "6", "--lr", "0.01", *SMALL]
    said = []
    for _ in range(2):
        torch.rand(3)  # other draws in between change nothing
        assert training.main(arguments) == 0
        said.append(capsys.readouterr())
    assert said[0] == said[1]
    assert re.match(r"weights: [0-9a-f]{32}\nThe ", said[0].out)
    losses = [float(each) for each in re.findall(r"loss (\S+)", said[0].err)]
    assert losses[0] == pytest.approx(np.log(256), abs=0.2)
    assert losses[-1] < 3.2
    assert "parameters: 83.5 KB of weights and optimiser state, no budget" in said[0].err


def test_a_mistake_is_told_without_a_stack_trace(
    training: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    assert training.main(["--text", "nowhere.txt"]) == UsageError.exit_code
    assert capsys.readouterr().out.startswith("error: there is no file nowhere.txt\n")


@pytest.mark.skipif(
    "memory" not in inspect.signature(train.fit).parameters,
    reason="train.fit takes no memory budget yet",
)
def test_a_budget_below_the_state_ends_with_the_same_weights(
    training: Any, text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    said = []
    for way in (["--plain"], ["--memory", "64KB"]):
        assert training.main([*way, "--text", text, "--epochs", "1", *SMALL]) == 0
        said.append(capsys.readouterr().out)
    assert said[0] == said[1]
