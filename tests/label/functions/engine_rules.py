"""Labelling functions of each kind, in a module that workers can import."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import polars as pl

from gristmill.label import (
    LabelingFunction,
    keywords,
    labeling_function,
    preprocessor,
    where,
)

CLASSES = ["ham", "spam"]


@preprocessor
def letters(row):
    return {"letters": set(row.text)}


@labeling_function(pre=[letters], resources={"wanted": "b"})
def has_letter(row, wanted):
    return "spam" if wanted in row.letters else None


@labeling_function(on_error="abstain")
def divides(row):
    return 12 % row.n % 2


@labeling_function(kind="batch")
def odd(frame):
    return frame["n"] % 2


short = where("short", lambda: pl.col("n") < 5, "ham")
rare = where("rare", lambda: pl.col("n") >= pl.col("n").max(), "spam")
words = keywords("words", ["b"], "spam", "text")

FUNCTIONS = [has_letter, divides, odd, short, rare, words]


def deadly_in(folder: Path) -> LabelingFunction:
    """Return a function that ends its process over row 4, until `folder` has a file `mended`."""
    return LabelingFunction("deadly", _die_over_four, resources={"folder": str(folder)})


def _die_over_four(row, folder):
    if row.n == 4 and not Path(folder, "mended").exists():
        os.kill(os.getpid(), signal.SIGKILL)
    return 1
