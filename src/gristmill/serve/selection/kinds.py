"""Policies by name, as a configuration file or a log says them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias

import msgspec

from gristmill.core.errors import UsageError
from gristmill.serve.misfit import misfit
from gristmill.serve.selection.epsilon_greedy import EpsilonGreedy
from gristmill.serve.selection.exp3 import Exp3
from gristmill.serve.selection.exp4 import Exp4
from gristmill.serve.selection.fixed import Fixed
from gristmill.serve.selection.hedge import Hedge
from gristmill.serve.selection.thompson import Thompson

AnyPolicy: TypeAlias = Thompson | Exp3 | Exp4 | Hedge | EpsilonGreedy | Fixed

_KINDS: dict[str, type[AnyPolicy]] = {
    "thompson": Thompson,
    "exp3": Exp3,
    "exp4": Exp4,
    "hedge": Hedge,
    "epsilon_greedy": EpsilonGreedy,
    "fixed": Fixed,
}


def policy_of(table: Mapping[str, object], arms: int) -> AnyPolicy:
    """Return a policy over `arms` models from its `name` and its constants.

    Raises:
        UsageError: as `policy_named`, or there is no name.
    """
    options = dict(table)
    name = options.pop("name", None)
    if not isinstance(name, str):
        raise UsageError(
            "policy: expected its name, found none",
            fix='say policy = "thompson", or policy = { name = "thompson", half_life = 500 }',
        )
    return policy_named(name, arms, options)


def policy_named(kind: str, arms: int, options: Mapping[str, object] | None = None) -> AnyPolicy:
    """Return a policy over `arms` models.

    Args:
        kind: thompson, exp3, exp4, hedge, epsilon_greedy or fixed.
        options: its attributes other than `arms`.

    Raises:
        UsageError: there is no such policy or option, or its value will not do.
    """
    if kind not in _KINDS:
        raise UsageError(f"expected a policy of {', '.join(_KINDS)}, found {kind!r}")
    known = [name for name in _KINDS[kind].__struct_fields__ if name != "arms"]
    for name in options or {}:
        if name not in known:
            raise UsageError(
                f"policy {kind!r} has no option {name!r}",
                fix=f"its options are {', '.join(known)}",
            )
    try:
        return msgspec.convert({"arms": arms, **(options or {})}, _KINDS[kind])
    except msgspec.ValidationError as error:
        raise UsageError(f"policy {kind!r}: {misfit(error)}") from error
