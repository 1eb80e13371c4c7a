"""The fingerprint of code: everything of the user's own that a function can reach.

A cache that hashes only the function it caches returns stale results the day a helper changes. This
one follows every name that the function reads: helpers, helpers of helpers, classes and their
methods, constants, closures, default values, names imported inside a body. Code of installed
packages is not followed; it counts by its version.

What is decided at run time (`eval`, `getattr` with a computed name, a package's object with hidden
state) cannot be followed by reading; such places are listed as blind spots, not ignored.
"""

from __future__ import annotations

import functools
import importlib
import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field
from opcode import opmap
from pathlib import Path
from types import BuiltinFunctionType, CodeType, FunctionType, MethodType, ModuleType

from gristmill.core.fingerprint import Fingerprinted, fingerprint, knows_its_fingerprint
from gristmill.core.packages import (
    is_user_file,
    is_user_module,
    module_of,
    package_of,
    package_version,
)
from gristmill.core.references import BlindSpot, Reference, references

_WORDS = re.compile(r"[A-Za-z_][A-Za-z_0-9]*")
_MISSING = object()
_LOAD_CONST, _EXTENDED_ARG = opmap["LOAD_CONST"], opmap["EXTENDED_ARG"]


@dataclass(slots=True)
class CodeReach:
    """What a function can reach.

    Attributes:
        parts: name of each reachable function, class or constant -> its fingerprint.
        packages: installed packages that it uses -> version.
        blind_spots: places that could not be followed, as `file:line: what`.
    """

    parts: dict[str, str] = field(default_factory=dict)
    packages: dict[str, str] = field(default_factory=dict)
    blind_spots: list[str] = field(default_factory=list)

    @property
    def digest(self) -> str:
        """One fingerprint for all of it, and for the version of Python."""
        return fingerprint([self.parts, self.packages, list(sys.version_info[:2])])

    def changes_since(self, parts: Mapping[str, str], packages: Mapping[str, str]) -> list[str]:
        """Say what differs from an earlier reach, one phrase per difference, by name."""
        phrases = _differences(parts, self.parts, "changed")
        for name, version in self.packages.items():
            if name in packages and packages[name] != version:
                phrases.append(f"package {name} {packages[name]} -> {version}")
        return phrases


def _differences(old: Mapping[str, str], new: Mapping[str, str], verb: str) -> list[str]:
    changed = [f"{name} {verb}" for name in new if name in old and old[name] != new[name]]
    if changed:
        return changed
    added = [f"{name} added" for name in new if name not in old]
    return added + [f"{name} removed" for name in old if name not in new]


def reach(function: Callable[..., object], *, defaults: bool = True) -> CodeReach:
    """Return everything of the user's own that `function` can reach.

    Args:
        function: where to start.
        defaults: whether the default values of `function` itself count; a caller that files the
            values of all its arguments elsewhere leaves them out.
    """
    walker = _Walker(None if defaults else function)
    walker.visit(function, getattr(function, "__qualname__", repr(function)))
    result = walker.reach
    result.parts = dict(sorted(result.parts.items()))
    result.packages = dict(sorted(result.packages.items()))
    result.blind_spots = sorted(set(result.blind_spots))
    return result


def fingerprint_callable(function: Callable[..., object]) -> str:
    """Return one fingerprint of a function and of all that it can reach."""
    return reach(function).digest


@functools.cache
def code_digest(code: CodeType) -> str:
    """Return a fingerprint of compiled code without line numbers, comments and docstring."""
    constants = list(code.co_consts)
    if constants and isinstance(constants[0], str) and not _loads_first_constant(code):
        constants[0] = None  # never loaded: it is the docstring
    shape = (code.co_argcount, code.co_posonlyargcount, code.co_kwonlyargcount, code.co_flags)
    names = (code.co_names, code.co_varnames, code.co_freevars, code.co_cellvars)
    return fingerprint([code.co_code, shape, names, [_constant(item) for item in constants]])


def _loads_first_constant(code: CodeType) -> bool:
    """Say whether the code itself uses constant 0, where a docstring would be."""
    pairs = list(zip(code.co_code[::2], code.co_code[1::2], strict=True))
    return any(
        operation == _LOAD_CONST and argument == 0 and before != _EXTENDED_ARG
        for (before, _), (operation, argument) in zip([(0, 0), *pairs], pairs, strict=False)
    )


def _constant(value: object) -> object:
    if isinstance(value, CodeType):
        return code_digest(value)
    if isinstance(value, tuple):
        return [_constant(item) for item in value]
    if isinstance(value, frozenset):
        return sorted(fingerprint(_constant(item)) for item in value)
    return repr(value) if isinstance(value, complex) or value is Ellipsis else value


class _Walker:
    """Visits values once each, filing what it finds in `reach`."""

    def __init__(self, without_defaults: object = None) -> None:
        self.reach = CodeReach()
        self._without_defaults = without_defaults
        self._seen: dict[int, tuple[object, str]] = {}  # keeps objects alive: ids stay unique

    def visit(self, value: object, name: str) -> None:
        """File one value that code reads under `name`."""
        # Equal numbers and texts may be one object in memory: plain data is filed name by name.
        if _is_plain(value):
            self._file(name, fingerprint([_kinds(value), value]))
            return
        if id(value) in self._seen:
            self._again(value, name)
            return
        self._seen[id(value)] = value, name
        match value:
            case FunctionType():
                self._function(value)
            case type():
                self._class(value)
            case ModuleType():
                self._module(value)
            case MethodType():
                self.visit(value.__func__, name)
                self.visit(value.__self__, f"{name}.__self__")
            case functools.partial():
                self.visit(value.func, name)
                self._value((value.args, value.keywords), f"{name} arguments")
            case BuiltinFunctionType():
                self._package(module_of(value))
            case staticmethod() | classmethod():
                self.visit(value.__func__, name)
            case property():
                for part in (value.fget, value.fset, value.fdel):
                    if part is not None:
                        self.visit(part, name)
            case _:
                self._value(value, name)

    def _again(self, value: object, name: str) -> None:
        """File that data goes by a second name; code is filed under its own name anyway."""
        first = self._seen[id(value)][1]
        if name != first and not isinstance(value, FunctionType | type | ModuleType):
            self._file(name, fingerprint(["the same object as", first]))

    def _file(self, name: str, digest: str) -> None:
        """File a part; two of one name (closures of one factory) count together."""
        known = self.reach.parts.get(name)
        if known == digest:
            return
        self.reach.parts[name] = digest if known is None else fingerprint([known, digest])

    def _package(self, module: str) -> None:
        root = package_of(module)
        if root is not None and not is_user_module(module):
            self.reach.packages.setdefault(root, package_version(root))

    def _function(self, function: FunctionType) -> None:
        wrapped = getattr(function, "__wrapped__", None)
        if wrapped is not None:
            self.visit(wrapped, getattr(wrapped, "__qualname__", "wrapped"))
        if not is_user_file(function.__code__.co_filename):
            self._package(function.__module__ or "builtins")
            return
        # The code's own name: `functools.wraps` gives a wrapper the name of what it wraps.
        name = f"{function.__module__}.{function.__code__.co_qualname}"
        self._file(name, code_digest(function.__code__))
        has_defaults = function.__defaults__ or function.__kwdefaults__
        if has_defaults and function is not self._without_defaults:
            self._value((function.__defaults__, function.__kwdefaults__), f"{name} defaults")
        self._annotations(function)
        cells = _closure(function)
        for found in references(function.__code__):
            if isinstance(found, BlindSpot):
                self._blind(function.__code__.co_filename, found.line, found.what)
            else:
                self._reference(found, function, cells)

    def _reference(
        self, found: Reference, function: FunctionType, cells: Mapping[str, object]
    ) -> None:
        if found.origin == "import":
            self._import(found, function)
            return
        if found.origin == "closure":
            base = cells.get(found.root, _MISSING)
            home = f"{function.__module__}.{function.__code__.co_qualname}"
        else:
            base = function.__globals__.get(found.root, _MISSING)
            home = function.__module__
        if base is not _MISSING:
            self._follow(base, found.path, f"{home}.{found.root}")

    def _import(self, found: Reference, function: FunctionType) -> None:
        """Follow an import inside a body; a package is not imported for that, a user's file is."""
        package = str(function.__globals__.get("__package__") or "")
        name = found.root or package
        for candidate in (name, f"{package}.{name}"):  # the second: `from .name import ...`
            if is_user_module(candidate) or _is_importable_user(candidate):
                importlib.import_module(candidate)
                self._follow(sys.modules[candidate], found.path, candidate)
                return
        self._package(name)

    def _follow(self, base: object, path: Sequence[str], name: str) -> None:
        """Go down attributes as long as they lead through the user's own modules."""
        for attribute in path:
            if not isinstance(base, ModuleType) or not is_user_module(base.__name__):
                break
            step = getattr(base, attribute, _MISSING)
            if step is _MISSING:
                return
            name, base = f"{base.__name__}.{attribute}", step
        self.visit(base, name)

    def _class(self, cls: type) -> None:
        if not is_user_module(cls.__module__):
            self._package(cls.__module__)
            return
        name = f"{cls.__module__}.{cls.__qualname__}"
        for base in cls.__bases__:
            self.visit(base, base.__qualname__)
        fields = [f"{key}: {kind}" for key, kind in vars(cls).get("__annotations__", {}).items()]
        self.reach.parts[name] = fingerprint(
            [fields, [base.__qualname__ for base in cls.__bases__]]
        )
        for key, value in vars(cls).items():
            if not key.startswith("__") or isinstance(value, FunctionType):
                self.visit(value, f"{name}.{key}")

    def _module(self, module: ModuleType) -> None:
        """File a module that is handed around as a value: anything in it may be used."""
        if not is_user_module(module.__name__):
            self._package(module.__name__)
            return
        for key, value in vars(module).items():
            if not key.startswith("__"):
                self.visit(value, f"{module.__name__}.{key}")

    def _value(self, value: object, name: str) -> None:
        if knows_its_fingerprint(value):
            self._own_fingerprint(value, name)
            return
        if self._container(value, name):
            return
        try:
            self._file(name, fingerprint(_portable(value, name)))
        except TypeError:
            self._instance(value, name)
        self._package(type(value).__module__)

    def _own_fingerprint(self, value: Fingerprinted, name: str) -> None:
        """File an object that knows its fingerprint, under its own name where it has one."""
        own = getattr(value, "name", None)
        self._file(
            f"{type(value).__name__} {own}" if isinstance(own, str) else name,
            value.__fingerprint__(),
        )
        self._package(type(value).__module__)

    def _container(self, value: object, name: str) -> bool:
        """Visit the members of a container that holds more than plain data."""
        members = list(_members(value))
        if all(_is_plain(member) for _, member in members):
            return False
        self._file(f"{name} members", fingerprint([key for key, _ in members]))
        for key, member in members:
            self.visit(member, f"{name}[{key}]")
        return True

    def _instance(self, value: object, name: str) -> None:
        wrapped = getattr(value, "__wrapped__", None)
        if wrapped is not None:
            self.visit(wrapped, name)
        if is_user_module(type(value).__module__):
            self.visit(type(value), type(value).__qualname__)
            for key, member in getattr(value, "__dict__", {}).items():
                self.visit(member, f"{name}.{key}")
        elif wrapped is None:
            kind = f"{type(value).__module__}.{type(value).__qualname__}"
            self.reach.blind_spots.append(f"{name}: the state of a {kind} is not seen")

    def _annotations(self, function: FunctionType) -> None:
        """Visit the user's classes that a signature names: their methods will be called."""
        for text in function.__annotations__.values():
            for word in _WORDS.findall(text if isinstance(text, str) else ""):
                found = function.__globals__.get(word)
                if isinstance(found, type):
                    self._class(found)
            if isinstance(text, type):
                self.visit(text, text.__qualname__)

    def _blind(self, filename: str, line: int, what: str) -> None:
        self.reach.blind_spots.append(f"{Path(filename).name}:{line}: {what}")


def _portable(value: object, name: str) -> object:
    """Name a path below the module that holds it from there: a copied project is the same code."""
    if not isinstance(value, Path):
        return value
    home = name
    while home and home not in sys.modules:
        home = home.rpartition(".")[0]
    file = getattr(sys.modules.get(home), "__file__", None)
    folder = Path(file).resolve().parent if file else None
    return value.relative_to(folder) if folder and value.is_relative_to(folder) else value


def _closure(function: FunctionType) -> dict[str, object]:
    cells = {}
    for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
        try:
            cells[name] = cell.cell_contents
        except ValueError:  # a name that the outer function has not bound yet
            continue
    return cells


def _members(value: object) -> Iterator[tuple[str, object]]:
    if isinstance(value, Mapping):
        yield from ((str(key), item) for key, item in value.items())
    elif isinstance(value, list | tuple):
        yield from ((str(position), item) for position, item in enumerate(value))
    elif isinstance(value, Set):
        ordered = sorted(value, key=lambda item: getattr(item, "__qualname__", repr(item)))
        yield from ((str(position), item) for position, item in enumerate(ordered))


def _is_plain(value: object) -> bool:
    if isinstance(value, Mapping | list | tuple | Set):
        return all(_is_plain(member) for _, member in _members(value))
    return value is None or isinstance(value, bool | int | float | str | bytes)


def _kinds(value: object) -> object:
    """Name the types of containers, which a fingerprint of values does not tell: [1] from (1,)."""
    inner = [_kinds(member) for _, member in _members(value)]
    return (
        [type(value).__name__, inner] if isinstance(value, Mapping | list | tuple | Set) else None
    )


def _is_importable_user(name: str) -> bool:
    from importlib.util import find_spec

    if package_of(name) is None or not name.replace(".", "").isidentifier():
        return False
    try:
        spec = find_spec(name)
    except (ImportError, ValueError):
        return False
    return bool(spec and spec.origin and is_user_file(spec.origin))
