"""Plain data: numbers, texts, and lists, dicts and sets of them, of these very types."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Set
from types import MappingProxyType
from typing import TypeGuard

_ATOMS = frozenset({type(None), bool, int, float, str, bytes})
_CONTAINERS = frozenset({dict, MappingProxyType, list, tuple, set, frozenset})


def is_plain(value: object) -> bool:
    """Say whether a value is plain; one of a subclass is not, for it may do things of its own."""
    if is_container(value):
        return all(is_plain(member) for _, member in members(value))
    return type(value) in _ATOMS


def is_container(value: object) -> TypeGuard[Mapping[object, object] | list[object] | Set[object]]:
    """Say whether a value is a list, a tuple, a dict or a set, and of no subclass."""
    return type(value) in _CONTAINERS


def members(value: object) -> Iterator[tuple[str, object]]:
    """Yield the members of a container, or of a subclass of one, each with a name; sets in order.

    The keys of a dict are its members' names; those that are code come as members, too.
    """
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield str(key) if type(key) in _ATOMS else getattr(key, "__qualname__", repr(key)), item
            if callable(key):
                yield "key", key
    elif isinstance(value, list | tuple):
        yield from ((str(position), item) for position, item in enumerate(value))
    elif isinstance(value, Set):
        ordered = sorted(value, key=lambda item: getattr(item, "__qualname__", repr(item)))
        yield from ((str(position), item) for position, item in enumerate(ordered))


def kinds(value: object) -> object:
    """Return what a fingerprint of values does not tell: [1] from (1,), and the order of a dict."""
    if not is_container(value):
        return None
    order = list(value) if isinstance(value, Mapping) else []
    return [type(value).__name__, order, [kinds(member) for _, member in members(value)]]
