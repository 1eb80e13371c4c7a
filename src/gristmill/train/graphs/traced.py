"""A model's forward in both modes: what a capture finds and a layer graph is made from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from gristmill.train.graphs.program import Program
from gristmill.train.graphs.sizes import InputSizes


@dataclass(frozen=True)
class Traced:
    """A model's forward as calls.

    Args:
        train: the calls in training.
        evaluation: the calls in evaluation.
        sizes: which inputs it takes.
        whole: paths of the blocks that stayed whole, and why.
    """

    train: Program
    evaluation: Program
    sizes: InputSizes
    whole: Mapping[str, str]
