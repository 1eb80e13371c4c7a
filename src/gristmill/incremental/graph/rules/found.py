"""What a rule makes of a call."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, TypeAlias

from gristmill.incremental.graph.call import Call
from gristmill.incremental.graph.operator import Operator


class Found(NamedTuple):
    """What a rule makes of a call: an operator and the nodes it reads."""

    operator: Operator
    inputs: tuple[int, ...]


class Same(NamedTuple):
    """What a rule makes of a call that changes nothing: the node whose value it passes on."""

    number: int


Rule: TypeAlias = Callable[[Call], "Found | Same"]
"""Makes an operator of a call; raises `NoRuleError` where it is none that it knows."""
