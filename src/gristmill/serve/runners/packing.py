"""A captured graph made ready to run on rows of different lengths, token after token.

Every value is held in one of four ways:

    fixed     depends on no input: computed here, once
    tokens    [tokens, ...]: the rows' tokens end to end, nothing between them
    rows      [rows, ...]: one element a row
    groups    a list: for the rows of each length, what the graph itself would hold for them

Operators that work token by token run once on all tokens; every other one (attention, sums over a
row, positions) runs as it is for each length. There rows are of one length, so nothing is padding:
an operator that is not understood costs speed, never the right answer.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import repeat
from typing import Any, Literal, NamedTuple, TypeAlias

import torch
from torch import Tensor

from gristmill.core.errors import BundleError
from gristmill.serve.runners import token_wise
from gristmill.serve.runners.bindings import numbers_of
from gristmill.serve.runners.dense_layers import Joined, joined_layers
from gristmill.serve.runners.dimensions import Dimensions, Found, Several, dimensions_of, single
from gristmill.serve.runners.graph import call_of, constant
from gristmill.serve.runners.groups import Groups, of_rows, of_tokens, to_rows, to_tokens
from gristmill.serve.runners.token_wise import Lead, lead_of
from gristmill.store.graph import Arg, GraphSpec, Items, Node, Ref

Form: TypeAlias = Literal["fixed", "tokens", "rows", "groups"]
Values: TypeAlias = list[Any]
Work: TypeAlias = Callable[..., Any]

_CPU = torch.device("cpu")
_VIEWS = ("aten.view.default", "aten._unsafe_view.default")
_ATTENTION = "aten.scaled_dot_product_attention.default"


class Held(NamedTuple):
    """Where a value lies, and how it is held; dimensions are None for a number."""

    slot: int
    form: Form
    dims: Found


class Step(NamedTuple):
    """Work on what lies in some slots, the result of which goes into another.

    Attributes:
        work: takes the groups and the values of `slots`.
        slots: where they lie.
        slot: where the result goes.
        freed: what no later step reads.
    """

    work: Work
    slots: tuple[int, ...]
    slot: int
    freed: tuple[int, ...] = ()


class Packing:
    """The steps that run a graph on packed rows.

    Args:
        spec: the graph.
        weights: its weights.

    Attributes:
        start: values before a run, the inputs in the first slots.
        steps: what to do, in order.
        outputs: where the results lie.

    Raises:
        BundleError: an output can't be cut into rows again; says why.
    """

    def __init__(self, spec: GraphSpec, weights: Mapping[str, Tensor]) -> None:
        self._dims = dimensions_of(spec, weights)
        self._numbers = numbers_of(spec.nodes)
        self.start: Values = []
        self.steps: list[Step] = []
        self._forms: dict[tuple[int, Form], Held] = {}
        self._known: dict[object, Held] = {}
        self._held: dict[str, Held] = {}
        for given in spec.inputs:
            dims = single(self._dims[given.name])
            lead = None if dims is None else lead_of(dims)
            if lead is None:
                raise BundleError(f"input {given.name!r} is not made of rows")
            self._held[given.name] = Held(self._add(None), lead, dims)
        for name in spec.weights:
            self._held[name] = Held(self._add(weights[name]), "fixed", self._dims[name])
        layers, hidden = joined_layers(spec, weights), set[str]()
        for node in spec.nodes:
            if node.name in layers and self._joined_layers(layers[node.name]):
                hidden |= set(layers[node.name].hidden)
            if node.name not in self._held and node.name not in hidden:
                self._held[node.name] = self._once(node)
        self.outputs = [self._output(name) for name in spec.outputs]
        self._free()

    def run(self, inputs: Sequence[Tensor], groups: Groups) -> list[Tensor]:
        """Run the graph.

        Args:
            inputs: each as it is held: tokens or rows, sorted by length.
            groups: how they fall into lengths.

        Returns:
            Each output as it is held, tokens or rows.
        """
        values = self.start.copy()
        values[: len(inputs)] = inputs
        with torch.inference_mode():
            for work, slots, slot, freed in self.steps:
                values[slot] = work(groups, *[values[each] for each in slots])
                for dead in freed:
                    values[dead] = None
        return [values[slot] for slot in self.outputs]

    def _joined_layers(self, layers: Joined) -> bool:
        """Add the steps of dense layers that read one value, if it is held as tokens or rows."""
        source = self._held[layers.source]
        dims = single(source.dims)
        lead = None if dims is None else lead_of(dims)
        if dims is None or lead is None or not token_wise.last_fixed(dims):
            return False
        held = self._as(source, lead)
        if held.form != lead:
            return False
        found = self._step(lambda _, values: layers.product(values), [held], lead, None)
        for at, name in enumerate(layers.results):
            self._held[name] = self._step(_picked(at), [found], lead, self._dims[name])
        return True

    def _once(self, node: Node) -> Held:
        """Return the value of a node; that of an equal one before it, where there is one."""
        key = (node.op, repr([self._named(arg) for arg in [*node.args, *node.kwargs.items()]]))
        if key not in self._known:
            self._known[key] = self._node(node)
        return self._known[key]

    def _named(self, arg: object) -> object:
        match arg:
            case Ref():
                return ("slot", self._held[arg.name].slot)
            case Items():
                return [self._named(item) for item in arg.items]
            case tuple():
                return (arg[0], self._named(arg[1]))
            case _:
                return arg

    def _node(self, node: Node) -> Held:
        args = [self._argument(arg) for arg in node.args]
        kwargs = {key: self._argument(arg) for key, arg in node.kwargs.items()}
        given = [*args, *kwargs.values()]
        call = call_of(node, self._numbers)
        dims = self._dims[node.name]
        if all(each.form == "fixed" for each in given):
            value = call(*[self.start[each.slot] for each in given])
            return Held(self._add(value), "fixed", dims)
        return self._token_wise(node, args, dims, call) or self._grouped(node, given, dims, call)

    def _argument(self, arg: Arg) -> Held:
        if isinstance(arg, Ref):
            return self._held[arg.name]
        if isinstance(arg, Items) and any(isinstance(item, Ref) for item in arg.items):
            items = [self._argument(item) for item in arg.items]
            if all(item.form == "fixed" for item in items):
                return Held(self._add([self.start[item.slot] for item in items]), "fixed", None)
            return self._by_group(items, None, lambda *found: list(found))
        return Held(self._add(constant(arg, _CPU)), "fixed", None)

    def _grouped(self, node: Node, given: list[Held], dims: Found, call: Work) -> Held:
        if node.op in _VIEWS:  # what was contiguous as recorded may not be so here
            call = torch.reshape
        if node.op == _ATTENTION and len(node.args) > 3 and given[3].dims is not None:
            key = ("mask", given[3].slot)
            if key not in self._known:
                self._known[key] = self._by_group([given[3]], None, token_wise.unmasked)
            given = [*given[:3], self._known[key], *given[4:]]
        return self._by_group(given, dims, call)

    def _by_group(self, given: Sequence[Held], dims: Found, call: Work) -> Held:
        """Add a step that calls an operator once for each group."""
        held = [self._as(each, "groups") for each in given]
        many = [each.form == "groups" for each in held]

        def work(groups: Groups, *values: Any) -> list[Any]:
            columns = [
                value if listed else repeat(value)
                for value, listed in zip(values, many, strict=True)
            ]
            return [call(*args) for args, _ in zip(zip(*columns, strict=False), groups.parts)]  # noqa: B905

        return self._step(work, held, "groups", dims)

    def _token_wise(self, node: Node, args: list[Held], dims: Found, call: Work) -> Held | None:
        """Add steps that call an operator once on all tokens, or all rows; None if it can't be."""
        if node.op == "item.get":
            form = args[0].form
            several = isinstance(args[0].dims, Several) and form in ("tokens", "rows")
            return self._step(lambda _, *of: call(*of), args, form, dims) if several else None
        results = list(dims) if isinstance(dims, Several) else [dims or ()]
        leads = {lead_of(each) for each in results}
        lead, first = leads.pop(), results[0]
        if lead is None or leads:
            return None
        found = self._ready(node, args, lead, first)
        if found is None:
            return None
        held, work = found
        return self._step(lambda _, *values: work(*values), held, lead, dims)

    def _ready(
        self, node: Node, args: list[Held], lead: Lead, result: Dimensions
    ) -> tuple[list[Held], Work] | None:
        """Return what an operator is called on, and how, on held tensors; None if it can't be."""
        call = call_of(node, self._numbers)
        extra = [self._argument(arg) for arg in node.kwargs.values()]
        if node.op in token_wise.ELEMENTWISE:
            held = [self._broadcast(arg, lead, result) for arg in args]
            ready = [each for each in held if each is not None]
            return ([*ready, *extra], call) if len(ready) == len(held) else None
        if node.op == "aten.cat.default":
            return self._joined(node, lead, result)
        if node.op == "aten.expand.default":
            source = self._broadcast(args[0], lead, result)
            wide = token_wise.expand_to(token_wise.fixed(result))
            return ([source], wide) if source and source.form == lead else None
        if node.op == "aten.embedding.default":
            return self._looked_up(args, lead, call)
        dims = single(args[0].dims) if args else None
        if dims is None or lead_of(dims) != lead:
            return None
        source = self._as(args[0], lead)
        if token_wise.keeps_all(node) and dims == result:
            return [source], lambda held: held
        if token_wise.reshaped(node, dims, result):
            return [source], token_wise.reshape_to(token_wise.fixed(result))
        order = token_wise.permuted(node, dims)
        if order is not None:
            return [source], lambda held: held.permute(order)
        others = args[1:]
        if any(each.form != "fixed" for each in others):
            return None
        moved = token_wise.on_axes(node, dims)
        if moved is not None:
            return [source, *map(self._argument, moved[1:]), *extra], call
        if _on_last_axes(node, dims):
            return [source, *others, *extra], call
        return None

    def _looked_up(
        self, args: list[Held], lead: Lead, call: Work
    ) -> tuple[list[Held], Work] | None:
        places = single(args[1].dims)
        if args[0].form != "fixed" or places is None or lead_of(places) != lead:
            return None
        return [args[0], self._as(args[1], lead), *args[2:]], call

    def _joined(self, node: Node, lead: Lead, result: Dimensions) -> tuple[list[Held], Work] | None:
        parts = node.args[0]
        axis = token_wise.held_axis(node.args[1] if len(node.args) > 1 else 0, result)
        if not isinstance(parts, Items) or axis is None:
            return None
        held = []
        for part in parts.items:
            value = self._argument(part)
            dims = single(value.dims)
            if dims is None or lead_of(dims) != lead or len(dims) != len(result):
                return None
            if token_wise.back(dims) != token_wise.back(result):
                return None
            held.append(self._as(value, lead))
        return held, lambda *found: torch.cat(found, axis)

    def _broadcast(self, value: Held, lead: Lead, result: Dimensions) -> Held | None:
        """Return an operand as it is held beside a result, its fixed axes under the result's."""
        dims = single(value.dims)
        if dims is None:
            return value if value.form == "fixed" else None
        fit = token_wise.aligned(dims, result)
        if fit is None:
            return None
        if value.form == "fixed":
            if fit.has:
                return None
            small = self.start[value.slot].reshape(fit.shape) if dims else None
            return value if small is None else Held(self._add(small), "fixed", dims)
        if fit.has == {"rows", "length"} or lead == "rows":
            held = self._as(value, lead)
        elif fit.has == {"rows"}:
            rows = self._as(value, "rows")
            held = self._step(_spread, [rows], "tokens", dims)
        else:
            return self._spread_groups(value, result)
        if held.form != lead:
            return None
        if fit.shape == token_wise.fixed(dims):
            return held
        reshape = token_wise.reshape_to(fit.shape)
        return self._step(lambda _, found: reshape(found), [held], lead, dims)

    def _spread_groups(self, value: Held, result: Dimensions) -> Held:
        """Return tokens of what each group has once for all its rows, as positions are."""
        grouped = self._as(value, "groups")
        leading = [(at, dim) for at, dim in enumerate(result) if not isinstance(dim, int)]
        order = token_wise.front(result)

        def work(groups: Groups, parts: Sequence[Tensor]) -> Tensor:
            wide = []
            for part, group in zip(parts, groups.parts, strict=True):
                sizes = [1] * (len(result) - part.dim()) + list(part.shape)
                for at, dim in leading:
                    sizes[at] = group.rows if dim == "rows" else group.length
                wide.append(part.expand(sizes))
            return to_tokens(wide, order)

        return self._step(work, [grouped], "tokens", value.dims)

    def _as(self, value: Held, form: Form) -> Held:
        """Return a value held in another way, where it can be; fixed ones stay as they are."""
        if value.form in (form, "fixed"):
            return value
        key = (value.slot, form)
        if key not in self._forms:
            self._forms[key] = self._converted(value, form)
        return self._forms[key]

    def _converted(self, value: Held, form: Form) -> Held:
        dims = single(value.dims)
        if dims is None:
            return value
        back, front = token_wise.back(dims), token_wise.front(dims)
        if form == "groups":
            cut = of_tokens if value.form == "tokens" else of_rows
            return self._step(lambda groups, held: cut(held, groups, back), [value], form, dims)
        if value.form != "groups" or lead_of(dims) != form:
            return value
        join = to_tokens if form == "tokens" else to_rows
        return self._step(lambda _, parts: join(parts, front), [value], form, dims)

    def _output(self, name: str) -> int:
        value = self._held[name]
        dims = single(value.dims) or ()
        lead = lead_of(dims)
        if lead is None or value.form == "fixed" or token_wise.front(dims) is not None:
            raise BundleError(f"output {name!r} is not made of rows")
        return self._as(value, lead).slot

    def _step(self, work: Work, given: Sequence[Held], form: Form, dims: Found) -> Held:
        slot = self._add(None)
        self.steps.append(Step(work, tuple(each.slot for each in given), slot))
        return Held(slot, form, dims)

    def _add(self, value: Any) -> int:
        self.start.append(value)
        return len(self.start) - 1

    def _free(self) -> None:
        """Drop steps and values that nothing reads, and let steps drop what no later one reads."""
        needed, kept = set(self.outputs), []
        for step in reversed(self.steps):
            if step.slot in needed:
                made_here = {at for at in step.slots if self.start[at] is None}
                freed = tuple(made_here - needed)
                needed |= made_here
                kept.append(step._replace(freed=freed))
        self.steps = kept[::-1]
        read = {*self.outputs, *(slot for step in kept for slot in step.slots)}
        self.start = [value if at in read else None for at, value in enumerate(self.start)]


def _picked(at: int) -> Work:
    return lambda _, found: found[at]


def _spread(groups: Groups, rows: Tensor) -> Tensor:
    return rows.index_select(0, groups.owners)


def _on_last_axes(node: Node, dims: Dimensions) -> bool:
    if node.op == "aten.linear.default":
        return token_wise.last_fixed(dims)
    if node.op == "aten.native_layer_norm.default":
        shape = node.args[1]
        return isinstance(shape, Items) and token_wise.last_fixed(dims, len(shape.items))
    return False
