"""A fingerprint of compiled code: what it does, not how it is laid out."""

from __future__ import annotations

import functools
from opcode import opmap
from types import CodeType

from gristmill.core.fingerprint import fingerprint

_LOAD_CONST, _EXTENDED_ARG = opmap["LOAD_CONST"], opmap["EXTENDED_ARG"]


@functools.cache
def code_digest(code: CodeType) -> str:
    """Return a fingerprint of compiled code without line numbers, comments and docstring."""
    constants = list(code.co_consts)
    if constants and isinstance(constants[0], str) and not _loads_first_constant(code):
        constants[0] = None  # never loaded: it is the docstring
    shape = (code.co_argcount, code.co_posonlyargcount, code.co_kwonlyargcount, code.co_flags)
    names = (code.co_names, code.co_varnames, code.co_freevars, code.co_cellvars)
    # Where `try` begins and ends is told by this table alone.
    tried = code.co_exceptiontable
    return fingerprint([code.co_code, tried, shape, names, [_constant(item) for item in constants]])


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
