"""The walk over code: from one function to all that it can reach, each value once."""

from __future__ import annotations

import builtins
import dataclasses
import datetime as dt
import functools
import importlib
import re
import sys
from collections import defaultdict, namedtuple
from collections.abc import Iterator, Mapping, Sequence, Set
from decimal import Decimal
from importlib.util import find_spec, resolve_name
from pathlib import Path
from types import (
    BuiltinFunctionType,
    ClassMethodDescriptorType,
    FunctionType,
    GetSetDescriptorType,
    MemberDescriptorType,
    MethodDescriptorType,
    MethodType,
    ModuleType,
    WrapperDescriptorType,
)
from typing import TYPE_CHECKING, Any

from gristmill.core.bytecode import code_digest
from gristmill.core.fingerprint import Fingerprinted, fingerprint, knows_its_fingerprint
from gristmill.core.packages import (
    is_user_file,
    is_user_module,
    module_of,
    package_of,
    package_version,
    packages_behind,
)
from gristmill.core.plain_values import is_container, is_plain, kinds, members
from gristmill.core.references import BlindSpot, Reference, references
from gristmill.core.run_time import asked_at_run_time, named_at_run_time

if TYPE_CHECKING:
    from gristmill.core.code import CodeReach

_DOTTED = re.compile(r"[A-Za-z_][A-Za-z_0-9]*(?:\.[A-Za-z_][A-Za-z_0-9]*)*")
_MISSING = object()
_OF_EVERY_CLASS = frozenset(
    [
        "__module__",
        "__qualname__",
        "__doc__",
        "__dict__",
        "__weakref__",
        "__annotations__",
        "__firstlineno__",
        "__static_attributes__",
        "__abstractmethods__",
        "_abc_impl",
        "__orig_bases__",
        "__parameters__",
        "__type_params__",
        "__dataclass_params__",
        "__dataclass_fields__",
        "__struct_defaults__",
        "__struct_config__",
        "__protocol_attrs__",
        "__non_callable_proto_members__",
    ]
)
"""What every class has, or what is filed in another way, or says nothing of what it does."""
_OF_EVERY_MODULE = frozenset(
    [
        "__name__",
        "__doc__",
        "__package__",
        "__loader__",
        "__spec__",
        "__path__",
        "__file__",
        "__cached__",
        "__builtins__",
        "__annotations__",
    ]
)
_SLOTS = (
    MemberDescriptorType,
    GetSetDescriptorType,
    WrapperDescriptorType,
    MethodDescriptorType,
    ClassMethodDescriptorType,
    type(namedtuple("_", "field").field),  # type: ignore[attr-defined]
)
"""What stands in a class for a field: it says nothing beyond its name."""
_OF_TYPING = ("typing", "typing_extensions", "__future__")
_HELD_AT_MOST = 4
"""How deep an object of a package is searched for code of the user's."""
_ATOMS = (int, float, complex, str, bytes, Path, Decimal, dt.date, dt.time, dt.timedelta)


class CodeWalk:
    """Visits values once each, filing what it finds in `reach`.

    Args:
        reach: where to.
        without_defaults: a function whose own default values are left out.
    """

    def __init__(self, reach: CodeReach, without_defaults: object = None) -> None:
        self.reach = reach
        self._without_defaults = without_defaults
        self._seen: dict[int, tuple[object, str]] = {}  # keeps objects alive: ids stay unique
        self._named: set[tuple[int, str]] = set()

    def visit(self, value: object, name: str) -> None:
        """File one value that code reads under `name`."""
        # Equal numbers and texts may be one object in memory: plain data is filed name by name.
        if is_plain(value) and asked_at_run_time(value) is None:
            self._file(name, fingerprint([kinds(value), value]))
            return
        if (id(value), name) in self._named:
            return
        self._named.add((id(value), name))
        first = self._seen.setdefault(id(value), (value, name))[1]
        self._alias(value, name, first)
        if (told := asked_at_run_time(value)) is not None:
            self.reach.blind_spots.append(f"{name}: {told}")
        elif name == first:
            self._open(value, name)

    def _alias(self, value: object, name: str, first: str) -> None:
        """File what a name stands for: two that change places are a change."""
        own = own_name(value)
        if own is not None and "<" not in own:
            if name != own:
                self._file(name, fingerprint(["is", own]))
        elif name != first:
            self._file(name, fingerprint(["the same object as", first]))
        elif own is not None and name != own:
            self._file(name, fingerprint(["is", own]))

    def _open(self, value: object, name: str) -> None:
        """File what a value consists of."""
        match value:
            case FunctionType():
                self._function(value)
            case type():
                self._class(value)
            case ModuleType():
                self._module(value)
            case MethodType():
                self.visit(value.__func__, f"{name}.__func__")
                self.visit(value.__self__, f"{name}.__self__")
            case functools.partial() | functools.partialmethod():
                self.visit(value.func, f"{name}.func")
                self._value((value.args, value.keywords), f"{name} arguments")
            case BuiltinFunctionType():
                self.package(module_of(value))
            case staticmethod() | classmethod():
                self.visit(value.__func__, name)
            case property():
                for part in (value.fget, value.fset, value.fdel):
                    if part is not None:
                        self.visit(part, name)
            case functools.cached_property():
                self.visit(value.func, name)
            case functools.singledispatchmethod():
                self.visit(value.dispatcher, f"{name}.dispatcher")
            case _ if isinstance(value, _SLOTS) or type(value).__module__ in _OF_TYPING:
                pass
            case _:
                self._value(value, name)

    def _file(self, name: str, digest: str) -> None:
        """File a part; two of one name (closures of one factory) count together."""
        known = self.reach.parts.get(name)
        if known == digest:
            return
        self.reach.parts[name] = digest if known is None else fingerprint([known, digest])

    def package(self, module: str) -> None:
        """File the versions that decide what code of a package's module does."""
        if is_user_module(module):
            return
        for root in packages_behind(module):
            if root not in self.reach.packages:
                self.reach.packages[root] = package_version(root)

    def _function(self, function: FunctionType) -> None:
        wrapped = getattr(function, "__wrapped__", None)
        if wrapped is not None:
            self.visit(wrapped, own_name(wrapped) or "wrapped")
        if not is_user_file(function.__code__.co_filename):
            self.package(function.__module__ or "builtins")
            self._held(_closure(function), function.__qualname__)
            return
        name = own_name(function) or ""
        self._file(name, code_digest(function.__code__))
        has_defaults = function.__defaults__ or function.__kwdefaults__
        if has_defaults and function is not self._without_defaults:
            self._value((function.__defaults__, function.__kwdefaults__), f"{name} defaults")
        for key, value in vars(function).items():
            if key != "__wrapped__":
                self.visit(value, f"{name}.{key}")
        for hint in function.__annotations__.values():
            self._hint(hint, function)
        cells = _closure(function)
        for found in references(function.__code__):
            if isinstance(found, BlindSpot):
                self._blind(function, found.line, found.what)
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
            home = own_name(function)
        else:
            base = function.__globals__.get(found.root, _MISSING)
            home = function.__module__
        told = _told(getattr(builtins, found.root, base) if base is _MISSING else base, found.path)
        if told is not None:
            self._blind(function, found.line, told)
        elif base is not _MISSING:
            self._follow(base, found.path, f"{home}.{found.root}")

    def _import(self, found: Reference, function: FunctionType) -> None:
        """Follow an import inside a body; a package is not imported for that, a user's file is."""
        package = str(function.__globals__.get("__package__") or "")
        try:
            name = resolve_name("." * found.level + found.root, package or None)
        except ImportError:  # the import itself will fail, and say why
            return
        told = named_at_run_time(name, found.path)
        if told is not None:
            self._blind(function, found.line, told)
            return
        try:
            module = _user_module(name)
        except Exception as error:  # whatever the user's module does when it is imported
            self._blind(function, found.line, f"{name} cannot be imported: {error}")
            return
        if module is None:
            self.package(name)
        else:
            self._follow(module, found.path, name)

    def _follow(self, base: object, path: Sequence[str], name: str) -> None:
        """Go down attributes as long as they lead through the user's own modules."""
        for attribute in path:
            if not isinstance(base, ModuleType) or not is_user_module(base.__name__):
                break
            step = getattr(base, attribute, _MISSING)
            if step is _MISSING:
                step = _user_module(f"{base.__name__}.{attribute}")
            if step is None:
                break  # there when it is asked for, perhaps: anything in the module may be meant
            name, base = f"{base.__name__}.{attribute}", step
        self.visit(base, name)

    def _class(self, cls: type) -> None:
        if not is_user_module(cls.__module__):
            self.package(cls.__module__)
            return
        name = own_name(cls) or ""
        fields = [f"{key}: {kind}" for key, kind in vars(cls).get("__annotations__", {}).items()]
        above = [*cls.__bases__, type(cls)]
        self._file(name, fingerprint([fields, [own_name(each) for each in above]]))
        for each in above:
            self.visit(each, own_name(each) or "")
        for key, value in [*vars(cls).items(), *_declared(cls)]:
            if key not in _OF_EVERY_CLASS and not _kept_by_package(key, value):
                self.visit(value, f"{name}.{key}")

    def _module(self, module: ModuleType) -> None:
        """File a module that is handed around as a value: anything in it may be used."""
        if not is_user_module(module.__name__):
            self.package(module.__name__)
            return
        for key, value in vars(module).items():
            if key not in _OF_EVERY_MODULE:
                self.visit(value, f"{module.__name__}.{key}")

    def _value(self, value: object, name: str) -> None:
        if knows_its_fingerprint(value):
            self._own_fingerprint(value, name)
        elif is_user_module(type(value).__module__):
            self._object(value, name)
        elif isinstance(value, Mapping | list | tuple | Set) and not is_plain(value):
            self._members(value, name)
        elif is_plain(value):
            self._file(name, fingerprint([kinds(value), value]))
        elif hasattr(value, "__args__") and hasattr(value, "__origin__"):
            self._members([value.__origin__, *value.__args__], name)  # `list[Row]`, say
        else:
            try:
                self._file(name, fingerprint(_portable(value, name)))
            except TypeError:
                self._foreign(value, name)
        self.package(type(value).__module__)

    def _own_fingerprint(self, value: Fingerprinted, name: str) -> None:
        """File an object that knows its fingerprint, under its own name where it has one."""
        own = getattr(value, "name", None)
        self._file(
            f"{type(value).__name__} {own}" if isinstance(own, str) else name,
            value.__fingerprint__(),
        )

    def _members(self, value: object, name: str) -> None:
        """Visit the members of a container that holds more than plain data."""
        found = list(members(value))
        self._file(
            f"{name} members", fingerprint([type(value).__name__, [key for key, _ in found]])
        )
        for key, member in found:
            self.visit(member, f"{name}[{key}]")
        if isinstance(value, defaultdict):
            self.visit(value.default_factory, f"{name}.default_factory")

    def _object(self, value: object, name: str) -> None:
        """File an object of a class of the user's: its class, what it holds and what it is."""
        cls = type(value)
        self._file(f"{name} class", fingerprint(own_name(cls)))
        self.visit(cls, own_name(cls) or "")
        if isinstance(value, Mapping | list | tuple | Set):
            self._members(value, name)
        elif isinstance(value, _ATOMS) or hasattr(value, "__array_interface__"):
            self._file(f"{name} value", fingerprint(_portable(value, name)))
        for key, member in _state(value):
            self.visit(member, f"{name}.{key}")

    def _foreign(self, value: object, name: str) -> None:
        """File an object of a package, as far as it can be seen."""
        wrapped = getattr(value, "__wrapped__", None)
        if wrapped is not None:
            self.visit(wrapped, name)
            return
        self._held(dict(_state(value)), name)
        if isinstance(getattr(value, "__name__", None), str):
            self._file(name, fingerprint(["named", value.__name__]))  # type: ignore[attr-defined]
        kind = f"{type(value).__module__}.{type(value).__qualname__}"
        self.reach.blind_spots.append(f"{name}: the state of a {kind} is not seen")

    def _held(self, value: object, name: str, depth: int = 0) -> None:
        """Visit the user's own code in what a package holds: a function that it was given, say."""
        if depth > _HELD_AT_MOST:
            return
        if is_container(value):
            for key, member in members(value):
                self._held(member, f"{name}[{key}]", depth + 1)
        elif isinstance(value, functools.partial | MethodType):
            inner = value.func if isinstance(value, functools.partial) else value.__func__
            self._held(inner, name, depth + 1)
        elif isinstance(value, FunctionType) and not is_user_file(value.__code__.co_filename):
            self._held(_closure(value), f"{name}.{value.__name__}", depth + 1)
        elif isinstance(value, FunctionType) or is_user_module(module_of(value)):
            self.visit(value, name)

    def _hint(self, hint: object, function: FunctionType) -> None:
        """Visit the user's classes that a signature names: their methods will be called."""
        if isinstance(hint, str):
            for word in _DOTTED.findall(hint):
                head, *path = word.split(".")
                found = function.__globals__.get(head)
                for attribute in path:  # what a package loads on first use is not the user's
                    found = vars(found).get(attribute) if hasattr(found, "__dict__") else None
                if isinstance(found, type):
                    self._hint(found, function)
        elif isinstance(hint, type) and is_user_module(hint.__module__):
            self.visit(hint, own_name(hint) or "")
        for inner in getattr(hint, "__args__", ()) if not isinstance(hint, str | type) else ():
            self._hint(inner, function)

    def _blind(self, function: FunctionType, line: int, what: str) -> None:
        file = Path(function.__code__.co_filename).name
        self.reach.blind_spots.append(f"{file}:{line}: {what}")


def own_name(value: object) -> str | None:
    """Return what a function, a class or a module is called where it is defined; None of others."""
    if isinstance(value, ModuleType):
        return value.__name__
    if isinstance(value, FunctionType):
        # The code's own name: `functools.wraps` gives a wrapper the name of what it wraps.
        return f"{value.__module__}.{value.__code__.co_qualname}"
    if isinstance(value, type | BuiltinFunctionType):
        return f"{module_of(value)}.{value.__qualname__}"
    return None


def _told(base: object, path: Sequence[str]) -> str | None:
    """Say whether a name leads, through modules of any kind, to what answers only at run time.

    What a package loads on first use stays unloaded: only looking must not cost an import.
    """
    for attribute in path:
        if not isinstance(base, ModuleType) or asked_at_run_time(base) is not None:
            break
        base = vars(base).get(attribute, _MISSING)
    return asked_at_run_time(base)


def _kept_by_package(key: str, value: object) -> bool:
    """Say whether a package keeps a note of its own in a class, made when it first meets it."""
    home = type(value).__module__
    ours = home in ("builtins", "functools") or is_user_module(home)
    return key.startswith("__") and not ours


def _declared(cls: type) -> Iterator[tuple[str, object]]:
    """Yield what a decorator or a metaclass keeps of a class's fields, by name."""
    for one in vars(cls).get("__dataclass_fields__", {}).values():
        flags = [one.init, one.repr, one.hash, one.compare, one.kw_only, str(one.type)]
        yield f"{one.name} flags", flags
        for key in ("default", "default_factory", "metadata"):
            if getattr(one, key) is not dataclasses.MISSING:
                yield f"{one.name} {key}", getattr(one, key)
    if "__dataclass_params__" in vars(cls):
        yield "dataclass", repr(vars(cls)["__dataclass_params__"])
    if hasattr(cls, "__struct_config__"):
        config = cls.__struct_config__
        yield (
            "struct",
            {key: str(getattr(config, key)) for key in dir(config) if not key.startswith("_")},
        )
        defaults: tuple[Any, ...] = cls.__struct_defaults__  # type: ignore[attr-defined]
        yield "defaults", [getattr(each, "factory", each) for each in defaults]


def _state(value: object) -> Iterator[tuple[str, object]]:
    """Yield the attributes of an object, those in slots too."""
    yield from getattr(value, "__dict__", {}).items()
    for cls in type(value).__mro__:
        slots = vars(cls).get("__slots__", ())
        for name in (slots,) if isinstance(slots, str) else slots:
            private = name.startswith("__") and not name.endswith("__")
            mangled = f"_{cls.__name__.lstrip('_')}{name}" if private else name
            if name not in ("__dict__", "__weakref__") and hasattr(value, mangled):
                yield mangled, getattr(value, mangled)


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


def _user_module(name: str) -> ModuleType | None:
    """Return a module of the user's, imported if need be; None if it is not the user's."""
    loaded = sys.modules.get(name)
    if loaded is not None:
        return loaded if is_user_module(name) else None
    # Whether the outermost package is the user's is asked first: the question imports nothing.
    for part in (name.partition(".")[0], name):
        if not _is_importable_user(part):
            return None
    return importlib.import_module(name)


def _is_importable_user(name: str) -> bool:
    if package_of(name) is None or not name.replace(".", "").isidentifier():
        return False
    if name in sys.modules:
        return is_user_module(name)
    try:
        spec = find_spec(name)
    except (ImportError, ValueError):
        return False
    if spec is None:
        return False
    places = [spec.origin] if spec.origin else spec.submodule_search_locations or []
    return any(map(is_user_file, places))
