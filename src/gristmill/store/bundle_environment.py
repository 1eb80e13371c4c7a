"""What a bundle was made in, as far as its answers may depend on it, and what is different here."""

from __future__ import annotations

import platform
import sys
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version

_PACKAGES = ("gristmill", "msgspec", "numpy", "safetensors", "torch")
_LAST_DIGITS = "answers may differ in their last digits"
_MEANING = {
    "gristmill": "features and answers are computed by the code of this version",
    "numpy": "features may differ in their last digits",
    "torch": _LAST_DIGITS,
    "platform": _LAST_DIGITS,
    "cpu": _LAST_DIGITS,
}
"""What it may mean that one of them is another. Python itself, and those that only read files,
change no answer."""


def environment_here() -> dict[str, str]:
    """Return platform, CPU, and versions of Python and of the packages that make models or answer.

    `cpu` names the instructions that torch uses, once torch is loaded: sums are taken in another
    order with others.
    """
    found = {
        "python": platform.python_version(),
        "platform": f"{platform.system()} {platform.machine()}",
    }
    for package in _PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    torch = sys.modules.get("torch")
    if torch is not None:
        found["cpu"] = str(torch.backends.cpu.get_cpu_capability())
    return found


def differences_here(made_in: Mapping[str, str]) -> list[str]:
    """Say what is different here from where a bundle was made, and what it may mean.

    Only what may change an answer is told, and only what both sides know.
    """
    here = environment_here()
    return [
        f"made with {_named(name, made_in[name])}, here is {_named(name, here[name])}: {meaning}"
        for name, meaning in _MEANING.items()
        if name in made_in and name in here and made_in[name] != here[name]
    ]


def _named(name: str, value: str) -> str:
    return {"platform": value, "cpu": f"a CPU with {value}"}.get(name, f"{name} {value}")
