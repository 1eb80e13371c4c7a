"""How often a model may be retrained."""

from __future__ import annotations

import re
from typing import Self

import msgspec

from gristmill.core.errors import UsageError
from gristmill.core.quantities import parse_seconds

_FORM = re.compile(r"\s*(\d+)\s+per\s+(\S.*?)\s*", re.ASCII)


class Budget(msgspec.Struct, frozen=True):
    """At most so many runs in any period of that length.

    Attributes:
        runs: retrainings that may begin; 0 allows none.
        seconds: length of the period.
    """

    runs: int
    seconds: float

    @classmethod
    def parse(cls, text: str) -> Self:
        """Parse `4 per 30d`.

        Raises:
            UsageError: it is not of this form.
        """
        found = _FORM.fullmatch(text)
        if found is None:
            raise UsageError(f"expected a budget such as '4 per 30d', found {text!r}")
        seconds = parse_seconds(found[2])
        if not seconds > 0:
            raise UsageError(f"expected a budget over some time, found {text!r}")
        return cls(int(found[1]), seconds)
