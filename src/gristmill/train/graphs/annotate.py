"""Fill in what each call of a program does besides its result: draws, changes, shared memory."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from dataclasses import replace
from typing import Any

from torch import Tensor
from torch.utils import _pytree as pytree

from gristmill.train.graphs.operations import operation
from gristmill.train.graphs.parts import Arguments
from gristmill.train.graphs.program import INPUT, TENSOR, Call, Program, replace_refs
from gristmill.train.graphs.skeleton import Skeleton
from gristmill.train.graphs.watch import Observation, Shadow, storage_of


def annotated(
    program: Program,
    skeleton: Skeleton,
    shadow: Shadow,
    example: tuple[Any, ...],
    training: bool,
    kinds: Mapping[str, Hashable] | None = None,
) -> Program:
    """Run the calls of `program` one by one on tensors without data, and note what each does.

    Args:
        program: calls with only their targets and arguments known.
        skeleton: names of the model's tensors.
        shadow: the model without data.
        example: model inputs without data.
        training: which mode the program is for.
        kinds: modules that need not be run if one of the same kind was called alike.
    """
    shadow.module.train(training)
    names = _tensor_names(skeleton, shadow)
    values: dict[str, Any] = {TENSOR + name: tensor for name, tensor in names.items()}
    values |= {f"{INPUT}{at}": value for at, value in enumerate(example)}
    storages = {storage_of(tensor): name for name, tensor in names.items()}
    twins = _Twins(kinds or {}, shadow)
    calls = []
    for call in program.calls:
        twin = twins.of(call, values)
        if twin is not None:
            noted, values[call.name] = twin
            held = skeleton.held_by(call.target)
            calls.append(replace(call, tensors=held, **noted))
            continue
        seen = _run(call, shadow, values)
        values[call.name] = seen.output
        calls.append(_noted(call, seen, values, storages, skeleton))
        twins.add(calls[-1], seen, values)
    return Program(tuple(calls), program.output, program.sizes)


class _Twins:
    """What calls of modules did, for calls of others of their kind.

    Those that change something, or return memory that they were given, are run each time.
    """

    def __init__(self, kinds: Mapping[str, Hashable], shadow: Shadow) -> None:
        self._kinds, self._shadow = kinds, shadow
        self._known: dict[Hashable, tuple[dict[str, Any], Any]] = {}

    def of(self, call: Call, values: Mapping[str, Any]) -> tuple[dict[str, Any], Any] | None:
        """Return what a twin's call noted, and its output in memory of its own."""
        key = self._key(call, values)
        if key not in self._known:
            return None
        noted, output = self._known[key]
        return noted, pytree.tree_map_only(Tensor, self._shadow.like, output)

    def add(self, call: Call, seen: Observation, values: Mapping[str, Any]) -> None:
        """Keep what a call did."""
        key = self._key(call, values)
        if key is not None and not (seen.written or seen.reassigned or call.aliases):
            noted = {
                name: getattr(call, name)
                for name in ("draws", "varying", "asks", "packed", "floating")
            }
            self._known[key] = noted, seen.output

    def _key(self, call: Call, values: Mapping[str, Any]) -> Hashable:
        if not call.module or call.target not in self._kinds:
            return None
        args = replace_refs(call.args, values.__getitem__)
        kwargs = replace_refs(call.kwargs, values.__getitem__)
        arguments, tensors = Arguments.of(args, kwargs)
        shapes = tuple((tuple(tensor.shape), tensor.dtype) for tensor in tensors)
        return self._kinds[call.target], arguments.kind, shapes


def _tensor_names(skeleton: Skeleton, shadow: Shadow) -> dict[str, Tensor]:
    named = {**dict(shadow.module.named_parameters()), **dict(shadow.module.named_buffers())}
    return {name: named[name] for name in (*skeleton.parameters, *skeleton.buffers)}


def _run(call: Call, shadow: Shadow, values: Mapping[str, Any]) -> Observation:
    args = replace_refs(call.args, values.__getitem__)
    kwargs = replace_refs(call.kwargs, values.__getitem__)
    if not call.module:
        function: Callable[..., Any] = operation(call.target)
        return shadow.observe(lambda: function(*args, **kwargs))
    module = shadow.module.get_submodule(call.target)
    return shadow.observe(lambda: module(*args, **kwargs), module)


def _noted(
    call: Call,
    seen: Observation,
    values: Mapping[str, Any],
    storages: Mapping[int, str],
    skeleton: Skeleton,
) -> Call:
    arguments = [name for name in call.reads if not (call.module and name.startswith(TENSOR))]
    memory = {name: _storages(values[name]) for name in arguments}
    made = _storages(seen.output)
    reassigned = _buffer_names(call, seen, skeleton)
    written = {storages[storage] for storage in seen.written if storage in storages}
    tensors = [leaf for leaf in pytree.tree_leaves(seen.output) if isinstance(leaf, Tensor)]
    return replace(
        call,
        tensors=skeleton.held_by(call.target) if call.module else (),
        mutates=tuple(sorted(written | set(reassigned))),
        reassigns=reassigned,
        spoils=tuple(name for name in arguments if memory[name] & seen.written),
        aliases=tuple(name for name in arguments if memory[name] & made),
        draws=seen.draws,
        varying=seen.varying,
        asks=seen.asks,
        packed=not isinstance(seen.output, Tensor) and not call.scalar,
        floating=any(t.is_floating_point() or t.is_complex() for t in tensors),
    )


def _buffer_names(call: Call, seen: Observation, skeleton: Skeleton) -> tuple[str, ...]:
    names = {holder: name for name, holders in skeleton.holders.items() for holder in holders}
    found = set()
    for below in seen.reassigned:
        path, _, attribute = f"{call.target}.{below}".strip(".").rpartition(".")
        found.add(names[path, attribute])
    return tuple(sorted(found))


def _storages(value: Any) -> set[int]:
    return {storage_of(leaf) for leaf in pytree.tree_leaves(value) if isinstance(leaf, Tensor)}
