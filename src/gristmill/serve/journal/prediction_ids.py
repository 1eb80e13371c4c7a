"""Names of predictions, which say where in the log they are and cannot be made up.

    p0123abcd-00000004d2a1b2c3d4e5-7
     model    number    tag        row

The tag is a keyed hash of the number: a name that was never given is told from one that has left
the log, without a list of all that were ever given.
"""

from __future__ import annotations

import re
import secrets
from hashlib import blake2b
from pathlib import Path
from typing import NamedTuple

from gristmill.serve.journal.secret_keys import secret_key

_TAG_BYTES = 5
_NAME = re.compile(r"(p[0-9a-z]{0,8}-)([0-9a-f]{10})([0-9a-f]{10})-([0-9]{1,9})", re.ASCII)


class PredictionName(NamedTuple):
    """What a name says: the number of the prediction, and the row of its request."""

    number: int
    row: int


class PredictionIds:
    """Makes and reads names under one secret key of 16 bytes."""

    def __init__(self, key: bytes) -> None:
        self._key = key

    @classmethod
    def of(cls, folder: Path) -> PredictionIds:
        """Return the names of a log: their key lies in its folder, and is made if need be.

        Raises:
            StoreError: the file with the key holds something else.
        """
        fix = "remove it: predictions made so far can then get no feedback any more"
        return cls(secret_key(folder / "key", fix=fix))

    def request(self, model: str, number: int) -> str:
        """Return what the names of all rows of a request begin with.

        Args:
            model: the fingerprint of what answered; its first 8 characters are shown.
            number: of the prediction, below 2**40.
        """
        return f"p{model[:8]}-{number:010x}{self._tag(number)}"

    def read(self, name: str) -> PredictionName | None:
        """Return what a name says, or None where it was not given by us."""
        match = _NAME.fullmatch(name)
        if match is None:
            return None
        number = int(match[2], 16)
        if not secrets.compare_digest(match[3], self._tag(number)):
            return None
        return PredictionName(number, int(match[4]))

    def _tag(self, number: int) -> str:
        data = number.to_bytes(8, "little")
        return blake2b(data, digest_size=_TAG_BYTES, key=self._key).hexdigest()
