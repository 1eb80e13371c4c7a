"""From an exported program to nodes of a graph."""

from __future__ import annotations

import operator as python_operator
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, fx

from gristmill.core.errors import UsageError
from gristmill.incremental.graph.call import Call, NoRuleError, Value, sizes
from gristmill.incremental.graph.exporting import Exported
from gristmill.incremental.graph.node import FRAME, Node
from gristmill.incremental.graph.operator import Operator
from gristmill.incremental.graph.operators.opaque import Opaque, Source, Step
from gristmill.incremental.graph.rules.channels_last import LAST
from gristmill.incremental.graph.rules.found import Found, Same, Turned
from gristmill.incremental.graph.rules.table import item, rule_for

_ANY_MEMORY: dict[Any, Any] = {torch.ops.aten.view.default: torch.ops.aten.reshape.default}
"""Calls that want memory in one order, and what takes any."""


class Translation:
    """Turns calls into nodes, and what no rule knows into opaque ones.

    Calls that no rule knows wait until something needs their value as a map: then they, and what
    they alone are made of, become one opaque operator.

    Args:
        program: what to translate.

    Attributes:
        nodes: what was translated so far.
        notes: on what no rule knows, the first in each chain.
    """

    def __init__(self, program: Exported) -> None:
        self.nodes: list[Node] = []
        self.notes: list[str] = []
        self._program = program
        self._values: dict[fx.Node, Value] = {program.frame: FRAME, **program.constants}
        self._turned: dict[fx.Node, int] = {}  # maps that the program has with their channels last
        self._names: dict[str, int] = {}
        self._dense: set[int] = set()

    def outputs(self) -> list[int]:
        """Translate everything; return the numbers of the outputs."""
        for node in self._program.nodes:
            if node.op not in ("placeholder", "output"):
                self._translate(node)
        return [self._output(node) for node in self._program.outputs]

    def _output(self, node: fx.Node) -> int:
        found = self._number(node)
        if isinstance(found, Tensor):
            raise UsageError("expected a model whose result depends on the frame")
        if found == FRAME or found is None:
            return self._opaque(node)
        return found

    def _translate(self, node: fx.Node) -> None:
        constant = self._constant(node)
        if constant is not None:
            self._values[node] = constant
            return
        try:
            found = self._apply(node)
        except NoRuleError:
            if _is_map(node) and len(node.users) > 1:
                self._values[node] = self._opaque(node)
            return
        if isinstance(found, Turned):
            self._turned[node] = self._computed(node, found.found)
        else:
            self._values[node] = self._computed(node, found)

    def _apply(self, node: fx.Node) -> Found | Same | Turned:
        source = node.args[0] if node.target is python_operator.getitem else None
        made = source if isinstance(source, fx.Node) else node
        of_turned = any(each in self._turned for each in made.all_input_nodes)
        call = Call(made, self._number_of_turned if of_turned else self._number)
        if made is not node:
            return item(node, call, of_turned)
        rule = rule_for(node, of_turned)
        if rule is None:
            raise NoRuleError
        return rule(call)

    def _computed(self, node: fx.Node, found: Found | Same) -> int:
        """Number of the node that gives what a rule has found."""
        if isinstance(found, Same):
            return found.number
        number = self._add(node, found.operator, found.inputs)
        for part in found.then:
            number = self._add(node, part, (number,))
        return number

    def _number_of_turned(self, node: fx.Node) -> Value:
        """A constant, or the number of a map that the program has with its channels last."""
        constant = self._values.get(node)
        return constant if isinstance(constant, Tensor) else self._turned.get(node)

    def _number(self, node: fx.Node) -> Value:
        """A node's value; what waited becomes an opaque operator if it is a map or a vector."""
        if node not in self._values and _is_map(node):
            self._values[node] = self._opaque(node)
        return self._values.get(node)

    def _constant(self, node: fx.Node) -> Tensor | None:
        """The value of a call that depends on no frame, or one of several: computed once, now."""
        taken = node.target is python_operator.getitem and isinstance(node.args[0], fx.Node)
        call: Any = node.args[0] if taken else node
        if not isinstance(node.meta.get("val"), Tensor) or not isinstance(
            call.target, torch._ops.OpOverload
        ):
            return None
        if _draws(call):
            return None
        if any(not isinstance(self._values.get(source), Tensor) for source in call.all_input_nodes):
            return None
        args, kwargs = fx.map_arg((call.args, call.kwargs), lambda each: self._values[each])
        with torch.no_grad():
            found: Any = call.target(*args, **kwargs)
        value: Tensor = found[node.args[1]] if taken else found
        return value

    def _add(self, node: fx.Node, operator: Operator, inputs: tuple[int, ...]) -> int:
        name = place(node)
        count = self._names[name] = self._names.get(name, 0) + 1
        unique = name if count == 1 else f"{name}#{count}"
        self.nodes.append(Node(unique, operator, inputs))
        if isinstance(operator, Opaque) or self._dense.intersection(inputs):
            self._dense.add(len(self.nodes) - 1)
        return len(self.nodes) - 1

    def _opaque(self, node: fx.Node) -> int:
        """Make an opaque operator of a call and of what waits before it."""
        fragment = _Fragment(self._values, self._turned)
        fragment.add(node)
        operator = Opaque(fragment.steps, fragment.names)
        if fragment.inputs and not self._dense.intersection(fragment.inputs):
            note = (
                f"{place(node)}: the reach of {operator.title} is not known: "
                "it and everything after it are computed in full"
            )
            if note not in self.notes:  # a recurrent layer has one for each step
                self.notes.append(note)
        return self._add(node, operator, tuple(fragment.inputs))


class _Fragment:
    """Calls in a row, with what they read from outside."""

    def __init__(self, values: dict[fx.Node, Value], turned: dict[fx.Node, int]) -> None:
        self.steps: list[Step] = []
        self.names: list[str] = []
        self.inputs: list[int] = []
        self._values, self._turned = values, turned
        self._places: dict[fx.Node, int] = {}

    def add(self, node: fx.Node) -> None:
        """Add a call after those that it reads.

        Raises:
            UsageError: the call draws random numbers.
        """
        if node in self._turned:
            self._places[node] = len(self.steps)
            self.steps.append(Step(torch.permute, (self._input(self._turned[node]), LAST), {}))
            self.names.append("permute")
            return
        if _draws(node):
            raise UsageError(
                f"the model draws random numbers in evaluation mode ({node.target})",
                where=place(node),
            )
        for source in self._missing(node):
            self.add(source)
        args, kwargs = fx.map_arg((node.args, node.kwargs), self._argument)
        self._places[node] = len(self.steps)
        if not callable(node.target):
            # The frame itself: it is handed on as it is.
            self.steps.append(Step(_itself, (self._argument(node),), {}))
            return
        self.steps.append(Step(_ANY_MEMORY.get(node.target, node.target), args, kwargs))
        if isinstance(node.target, torch._ops.OpOverload) and isinstance(
            node.meta.get("val"), (Tensor, tuple, list)
        ):
            self.names.append(str(node.target).split(".")[1])

    def _missing(self, node: fx.Node) -> Iterator[fx.Node]:
        for source in node.all_input_nodes:
            if source not in self._values and source not in self._places:
                yield source

    def _argument(self, node: fx.Node) -> Any:
        value = self._values.get(node)
        if isinstance(value, Tensor):
            return value
        if value is None:
            return Source(True, self._places[node])
        return self._input(value)

    def _input(self, number: int) -> Source:
        if number not in self.inputs:
            self.inputs.append(number)
        return Source(False, self.inputs.index(number))


def _draws(node: fx.Node) -> bool:
    """Whether a call draws random numbers: not, where dropout and the like are switched off."""
    if torch.Tag.nondeterministic_seeded not in getattr(node.target, "tags", ()):
        return False
    call = Call(node, lambda _: None)
    switches = (call.get(name, None) for name in ("train", "training", "dropout_p"))
    return not any(switch in (False, 0.0) for switch in switches if switch is not None)


def _itself(values: Tensor) -> Tensor:
    return values


def _is_map(node: fx.Node) -> bool:
    """Whether a value can be a node's: floats, with one row for the one frame."""
    try:
        shape = sizes(node)
    except NoRuleError:
        return False
    return bool(shape) and shape[0] == 1 and node.meta["val"].dtype == torch.float32


def place(node: fx.Node) -> str:
    """Name the innermost layer that a call comes from, and the call if the layer is no leaf."""
    stack = list(node.meta.get("nn_module_stack", {}).values())
    path, kind = stack[-1] if stack else ("", "")
    leaf = str(kind).startswith("torch.nn.modules") and "container" not in str(kind)
    if path and leaf:
        return str(path)
    return f"{path}.{_call_name(node)}" if path else _call_name(node)


def _call_name(node: fx.Node) -> str:
    """Of a call that takes one of several results, the name of the one that gave them."""
    if isinstance(node.target, torch._ops.OpOverload):
        return str(node.target).split(".")[1]
    source = node.args[0] if node.args else None
    return _call_name(source) if isinstance(source, fx.Node) else node.name
