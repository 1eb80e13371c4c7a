"""Mistakes in a pipeline file are said with their line, without a traceback."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from gristmill.core.errors import UsageError
from gristmill.pipeline.load import load_pipeline


def test_a_folder_stands_for_its_pipeline_file(user: Any) -> None:
    user.write(pipeline="from gristmill import step\n@step\ndef one():\n    return 1\n")
    assert load_pipeline(user.root).names == ["one"]


@pytest.mark.parametrize(
    ("source", "where", "message"),
    [
        ("def f(:\n", "pipeline.py:1", "invalid syntax: def f(:"),
        ("x = 1\ny = x / 0\n", "pipeline.py:2", "ZeroDivisionError: division by zero"),
        ("import nothing_like_it\n", "pipeline.py:1", "No module named 'nothing_like_it'"),
        ("import sys\nsys.exit(0)\n", "pipeline.py:2", "SystemExit: 0"),
        ("x = 1\n", "pipeline.py", "this file defines no steps"),
    ],
)
def test_a_mistake_in_the_file_names_its_line(
    user: Any, source: str, where: str, message: str
) -> None:
    user.write(pipeline=source)
    with pytest.raises(UsageError) as caught:
        user.load()
    assert caught.value.where == where
    assert message in caught.value.message


def test_a_missing_file_says_how_to_start(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="there is no such pipeline file") as caught:
        load_pipeline(tmp_path / "nope.py")
    assert "gristmill init NAME" in str(caught.value)
