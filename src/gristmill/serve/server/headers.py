"""What a request says in its headers beside its body: who, until when, how urgent.

X-Request-Id              names the request in answer, logs and feedback; made where it is missing
X-Gristmill-Deadline-Ms   milliseconds in which the answer is wanted; 503 if that cannot be
X-Gristmill-Priority      -10 to 10; who is refused first when not all can be answered: the larger
X-Gristmill-User          whom state is kept for, where the endpoint keeps some
X-Gristmill-Default       `true`: a default answer, marked, is welcome instead of a refusal
"""

from __future__ import annotations

import math
import re

from gristmill.serve.online.endpoint import Call
from gristmill.serve.refusal import Refusal
from gristmill.serve.server.request import Request

REQUEST_ID = b"x-request-id"
DEADLINE = b"x-gristmill-deadline-ms"
PRIORITY = b"x-gristmill-priority"
USER = b"x-gristmill-user"
DEFAULT = b"x-gristmill-default"
DEGRADED = b"x-gristmill-degraded"
PREDICTION = b"x-gristmill-prediction"

PRIORITIES = 10
_ID = re.compile(rb"[!-~]{1,128}")
_USER = re.compile(rb"[ -~]{1,256}")
_NUMBER = re.compile(rb"\d{1,9}(\.\d{1,20})?([eE][-+]?\d{1,3})?")
_INTEGER = re.compile(rb"[-+]?\d{1,3}")


def request_id(request: Request) -> str | None:
    """Return the id that the client gave its request, None if it gave none.

    Raises:
        Refusal: 400, it is too long or holds other characters.
    """
    value = request.headers.get(REQUEST_ID)
    if value is None:
        return None
    if not _ID.fullmatch(value):
        raise _wrong("X-Request-Id", "1 to 128 visible ASCII characters", value)
    return value.decode()


def call_of(request: Request, name: str, now: float, default: float, most: float) -> Call:
    """Return what comes with a request's rows.

    Args:
        request: whose headers are read.
        name: its id.
        now: on the monotonic clock.
        default: seconds in which it is answered if it does not say.
        most: seconds, the longest it may ask for.

    Raises:
        Refusal: 400, a header has another form.
    """
    headers = request.headers
    call = Call(request_id=name, deadline=now + default, trace=request.trace)
    if DEADLINE in headers:
        call.deadline = now + _seconds(headers[DEADLINE], most)
    if PRIORITY in headers:
        call.priority = _priority(headers[PRIORITY])
    if USER in headers:
        call.user = _user(headers[USER])
    if DEFAULT in headers:
        call.accept_default = _truth(headers[DEFAULT])
    return call


def _seconds(value: bytes, most: float) -> float:
    milliseconds = float(value) if _NUMBER.fullmatch(value) else math.nan
    if not 0 < milliseconds <= most * 1000:
        expected = f"milliseconds above 0, at most {most * 1000:g}"
        raise _wrong("X-Gristmill-Deadline-Ms", expected, value)
    return milliseconds / 1000


def _priority(value: bytes) -> int:
    if not _INTEGER.fullmatch(value) or abs(int(value)) > PRIORITIES:
        raise _wrong("X-Gristmill-Priority", f"-{PRIORITIES} to {PRIORITIES}", value)
    return int(value)


def _user(value: bytes) -> str:
    if not _USER.fullmatch(value):
        raise _wrong("X-Gristmill-User", "1 to 256 ASCII characters", value)
    return value.decode()


def _truth(value: bytes) -> bool:
    if value.lower() not in (b"true", b"false"):
        raise _wrong("X-Gristmill-Default", "true or false", value)
    return value.lower() == b"true"


def _wrong(name: str, expected: str, found: bytes) -> Refusal:
    shown = found[:40].decode("latin-1")
    return Refusal(400, "bad_header", f"header {name}: expected {expected}, found {shown!r}")
