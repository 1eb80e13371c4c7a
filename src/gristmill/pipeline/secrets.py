"""Secrets of steps: named in the code, read where they are used, and kept nowhere."""

from __future__ import annotations

import os
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from gristmill.core.errors import StepError, UsageError
from gristmill.core.redaction import hidden_in, hide


@dataclass(frozen=True, slots=True)
class Secret:
    """A secret by its name. Printing or comparing it tells the name; `value` is the secret.

    Its name goes into a step's key, its value does not: a step that is up to date does not run
    again because a password was changed, nor does it find out that one is wrong.
    """

    name: str

    @property
    def value(self) -> str:
        """The secret: what the environment variable of its name holds.

        Else what is in the file that the variable `NAME_FILE` names, without the line's end. From
        here on the text is left out of what this process prints, logs and records.

        Raises:
            UsageError: neither is set, the file cannot be read, or there is nothing in it.
        """
        found = os.environ.get(self.name)
        if found is None:
            found = self._from_file()
        if not found:
            raise UsageError(f"the secret {self.name!r} is empty", fix=self._advice())
        hide(found, f"secret {self.name}")
        return found

    def _from_file(self) -> str:
        path = os.environ.get(f"{self.name}_FILE")
        if path is None:
            raise UsageError(f"the secret {self.name!r} is not set", fix=self._advice())
        try:
            return Path(path).expanduser().read_text().rstrip("\r\n")
        except (OSError, UnicodeDecodeError) as error:
            said = error.strerror if isinstance(error, OSError) else "it is not text"
            raise UsageError(
                f"the file of the secret {self.name!r} cannot be read: {said}", where=path
            ) from error

    def _advice(self) -> str:
        return (
            f"set the environment variable {self.name}, or {self.name}_FILE to the path of a file "
            "that holds it"
        )

    def __fingerprint__(self) -> str:
        """Return what stands for it in keys: the name."""
        return f"secret {self.name}"


def secret(name: str) -> Secret:
    """Name a secret that a step uses, as a setting's default or in its body.

    Args:
        name: of the environment variable that holds it, or of one less `_FILE` that names its file.

    Raises:
        UsageError: this is no name of an environment variable.
    """
    if not name.isidentifier():
        raise UsageError(
            f"expected the name of an environment variable, found {len(name)} other characters",
            fix="name the secret, and keep its value in the environment or in a file",
        )
    return Secret(name)


def refuse_hidden(files: Iterable[bytes]) -> None:
    """Refuse a result that holds a secret which this process has read.

    Args:
        files: what is to be stored of it.

    Raises:
        StepError: one of them does.
    """
    for data in files:
        name = hidden_in(data)
        if name is not None:
            raise StepError(
                f"its result holds the {name}, which must not be stored",
                fix="return what was fetched with it, without the secret itself",
            )


def hide_settings(settings: Iterable[object]) -> None:
    """Hide the secrets among settings: calls on an engine read them in other processes."""
    for value in settings:
        if isinstance(value, Secret):
            with suppress(UsageError):  # it is said where it is used
                _ = value.value
