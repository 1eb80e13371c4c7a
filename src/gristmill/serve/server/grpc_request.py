"""One call over gRPC, as a request that passes the application like those of HTTP."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gristmill.serve.protocols.grpc_messages import SERVICE
from gristmill.serve.server.request import Request

if TYPE_CHECKING:
    from gristmill.serve.refusal import Refusal

_NOT_FOR_US = (b"accept-encoding", b"content-encoding")
_CODES = {
    200: 0,
    400: 3,
    401: 16,
    403: 7,
    404: 5,
    406: 3,
    408: 4,
    413: 8,
    422: 3,
    429: 8,
    499: 1,
    500: 13,
    501: 12,
    503: 14,
}
_UNKNOWN = 2


class GrpcRequest(Request):
    """A call.

    Args:
        method: the method's name, such as `ModelInfer`.
        model: name of the model that it is about, empty if it is about none.
        headers: its metadata by lower-case name.
        message: what was sent; None if that could not be read.
        remaining: seconds in which the caller wants an answer; None if it did not say.

    Attributes:
        refusal: why there is no answer, once it is known.
    """

    __slots__ = ("message", "refusal", "remaining", "rpc")

    def __init__(
        self,
        method: str,
        model: str,
        headers: dict[bytes, bytes],
        message: Any,
        remaining: float | None,
    ) -> None:
        for name in _NOT_FOR_US:
            headers.pop(name, None)
        super().__init__("POST", path_of(method, model), headers, b"")
        self.rpc, self.message, self.remaining = method, message, remaining
        self.refusal: Refusal | None = None

    def refused(self, refusal: Refusal) -> dict[str, object]:
        """Keep the refusal: gRPC says it beside the answer."""
        self.refusal = refusal
        return {}


def path_of(method: str, model: str = "") -> str:
    """Return the path that a method has, for a model if it is about one."""
    return f"/{SERVICE}/{method}/{model}" if model else f"/{SERVICE}/{method}"


def code_of(status: int) -> int:
    """Return the code of gRPC for a status of HTTP.

    https://github.com/grpc/grpc/blob/master/doc/statuscodes.md
    """
    return _CODES.get(status, _UNKNOWN)
