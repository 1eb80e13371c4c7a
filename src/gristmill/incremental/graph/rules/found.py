"""What a rule makes of a call."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, TypeAlias

from gristmill.incremental.graph.call import Call
from gristmill.incremental.graph.operator import Operator


class Found(NamedTuple):
    """What a rule makes of a call.

    Attributes:
        operator: what computes it, or the first part of it.
        inputs: the nodes that it reads.
        then: further parts, each of which reads the one before.
    """

    operator: Operator
    inputs: tuple[int, ...]
    then: tuple[Operator, ...] = ()


class Same(NamedTuple):
    """What a rule makes of a call that changes nothing: the node whose value it passes on."""

    number: int


class Turned(NamedTuple):
    """What a rule makes of a call whose result the program has with its channels last.

    Attributes:
        found: what computes it, channels first as all maps of the graph.
    """

    found: Found | Same


Rule: TypeAlias = Callable[[Call], "Found | Same | Turned"]
"""Makes an operator of a call; raises `NoRuleError` where it is none that it knows."""
