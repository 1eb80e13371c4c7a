"""How much a server takes on before it refuses."""

from __future__ import annotations

import msgspec

from gristmill.core.errors import UsageError


class Limits(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How much the server takes on before it refuses.

    Attributes:
        max_body: bytes of a request's body.
        max_instances: records of one request.
        max_batch: records that go through the model together.
        max_queue: records that may wait.
        deadline: seconds in which a request is answered, unless it says otherwise itself.
        max_deadline: seconds; the longest deadline that a request may ask for itself.
        max_headers: header lines of one request.
        max_header_bytes: bytes of one request's line and headers.
        max_connections: connections that are open at a time.
        max_pipelined: requests of one connection that may wait behind the one that is answered.
        header_timeout: seconds that a client may take to send a request's line and headers.
        body_timeout: seconds that a client may take to send its body, or a stream's first message.
        stream_timeout: seconds that a stream of gRPC may be open without a further message, while
            none is being answered; or a WebSocket without any.

    Raises:
        UsageError: a limit is not positive, or a full request could never enter the queue.
    """

    max_body: int = 1_000_000
    max_instances: int = 1024
    max_batch: int = 64
    max_queue: int = 4096
    deadline: float = 2.0
    max_deadline: float = 60.0
    max_headers: int = 100
    max_header_bytes: int = 32_768
    max_connections: int = 10_000
    max_pipelined: int = 256
    header_timeout: float = 10.0
    body_timeout: float = 10.0
    stream_timeout: float = 60.0

    def __post_init__(self) -> None:
        for name in self.__struct_fields__:
            if not getattr(self, name) > 0:
                raise UsageError(f"{name} must be above 0, found {getattr(self, name)}")
        if self.max_queue < self.max_instances:
            raise UsageError(
                f"max_queue ({self.max_queue}) is below max_instances ({self.max_instances})",
                fix="a full request must fit in the queue: raise max_queue",
            )
