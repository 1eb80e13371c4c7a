"""A user at a prompt: a small project in a temporary folder, and the command line."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from gristmill.cli.main import run

PIPELINE = """
from gristmill import step
from helpers import scale

@step
def numbers():
    return [1, 2, 3]

@step
def scaled(numbers, factor=2):
    return scale(numbers, factor)

@step
def total(scaled):
    return sum(scaled)
"""
HELPERS = """
def scale(numbers, factor):
    return [number * factor for number in numbers]
"""


@dataclass
class Answer:
    """What a command printed, and its exit code."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


class Prompt:
    """Runs commands in a folder, each as a new process would."""

    def __init__(self, root: Path, capfd: pytest.CaptureFixture[str]) -> None:
        self.root, self.capfd = root, capfd

    def __call__(self, *args: str) -> Answer:
        forget_modules(self.root)
        self.capfd.readouterr()
        code = run(args)
        return Answer(code, *self.capfd.readouterr())

    def write(self, name: str, text: str) -> None:
        (self.root / name).write_text(text)

    def edit(self, name: str, old: str, new: str) -> None:
        text = (self.root / name).read_text()
        assert old in text
        self.write(name, text.replace(old, new))


def forget_modules(root: Path) -> None:
    for name, module in list(sys.modules.items()):
        if str(getattr(module, "__file__", "")).startswith(str(root)):
            del sys.modules[name]


@pytest.fixture
def prompt(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> Iterator[Prompt]:
    """A prompt in an empty folder."""
    root = tmp_path / "project"
    root.mkdir()
    monkeypatch.chdir(root)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    monkeypatch.delenv("GRISTMILL_DEBUG", raising=False)
    yield Prompt(root, capfd)
    forget_modules(root)


@pytest.fixture
def project(prompt: Prompt) -> Prompt:
    """A prompt in a project of three steps."""
    prompt.write("pipeline.py", PIPELINE)
    prompt.write("helpers.py", HELPERS)
    return prompt


@pytest.fixture(scope="session")
def picture_bundle(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A bundle named cars, of a small network that classifies pictures of 64x48 pixels."""
    import torch  # here, for most commands run without it
    from torch import nn

    from gristmill.store.bundle import Field
    from gristmill.train.draws import seeded
    from gristmill.train.module_bundle import bundle_module

    net = seeded(
        lambda: nn.Sequential(
            nn.Conv2d(3, 4, 3, 2, 1), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(),
            nn.Linear(4, 2),
        ),
        0,
    )  # fmt: skip
    rows = torch.randint(0, 256, (2, 48, 64, 3), dtype=torch.uint8)
    folder = tmp_path_factory.mktemp("bundle") / "cars"
    field = Field("picture", "image", shape=[48, 64, 3])
    bundle_module(net, folder, inputs=[field], example={"picture": rows}, classes=["car", "none"])
    return str(folder)
