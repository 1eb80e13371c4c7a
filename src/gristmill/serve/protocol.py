"""The shapes that the server's parts agree on: the runner, a model's name, limits and answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple, Protocol, TypeAlias

import msgspec

from gristmill.core.errors import UsageError

if TYPE_CHECKING:
    import polars as pl

    from gristmill.serve.records import RecordError
    from gristmill.store.bundle import Signature

Record: TypeAlias = Mapping[str, object]
"""One input: field name to value, as JSON gives it."""


class RunnerLike(Protocol):
    """What the server needs of a runner; `gristmill.serve.Runner` is the one in use.

    An answer must not depend on the other rows of the frame.
    """

    @property
    def signature(self) -> Signature:
        """The fields that go in and come out."""

    @property
    def classes(self) -> Sequence[str]:
        """Class names, in the order of `probs`."""

    def predict(self, frame: pl.DataFrame) -> pl.DataFrame:
        """Return columns label (str), prob (float64) and probs (list of float64), row by row."""

    def check_records(
        self, records: Sequence[object]
    ) -> tuple[list[dict[str, object]], list[RecordError]]:
        """Split records into those that fit the signature and the reasons why the others do not."""

    def frame(self, records: Sequence[Record]) -> pl.DataFrame:
        """Return checked records as the frame that `predict` takes."""


class Model(msgspec.Struct, frozen=True):
    """Which model answers: its name and the fingerprint of its bundle."""

    name: str
    fingerprint: str


class Answer(NamedTuple):
    """What the model says of one record: class name, its probability, all probabilities."""

    label: str
    prob: float
    probs: list[float]


class Limits(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How much the server takes on before it refuses.

    Attributes:
        max_body: bytes of a request's body.
        max_instances: records of one request.
        max_batch: records that go through the model together.
        max_queue: records that may wait.
        deadline: seconds that a request may wait for its turn.
        body_timeout: seconds that a client may take to send its body.

    Raises:
        UsageError: a limit is not positive, or a full request could never enter the queue.
    """

    max_body: int = 1_000_000
    max_instances: int = 1024
    max_batch: int = 64
    max_queue: int = 4096
    deadline: float = 2.0
    body_timeout: float = 10.0

    def __post_init__(self) -> None:
        for name in self.__struct_fields__:
            if not getattr(self, name) > 0:
                raise UsageError(f"{name} must be above 0, found {getattr(self, name)}")
        if self.max_queue < self.max_instances:
            raise UsageError(
                f"max_queue ({self.max_queue}) is below max_instances ({self.max_instances})",
                fix="a full request must fit in the queue: raise max_queue",
            )
