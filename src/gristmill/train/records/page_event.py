"""What the pager tells the event loop."""

from __future__ import annotations

from typing import Literal

import msgspec

from gristmill.core.errors import TrainError
from gristmill.train.records.key import Key


class PageEvent(msgspec.Struct, frozen=True):
    """Something that happened.

    Attributes:
        kind: `resident`: a wanted record may be pinned now, try again; `flushed`: it is on disk;
            `committed`: a step is; `failed`: a record could not be read or written, or a step
            could not be committed.
        trial: whose.
        key: of the record; None for a step.
        version: of the record, or the step.
        error: what failed.
    """

    kind: Literal["resident", "flushed", "committed", "failed"]
    trial: int
    key: Key | None
    version: int
    error: TrainError | None = None
