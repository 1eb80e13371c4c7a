"""A stream over WebSocket: pictures in, of those that wait only the newest answered, in JSON.

A binary message is a picture: a JPEG or PNG file, or, after a text message such as
{"height": 360, "width": 640}, the bare pixels of pictures of that size, red first, a byte each;
after {} they are files again. Pictures are numbered from 0. Each answer is a text message, the
model's answer in the plain form with

    "frame"         number of the picture
    "dropped"       pictures before it that were not answered, since this one was newer
    "share"         of the picture that had changed, of 1
    "whole"         whether all was computed
    "milliseconds"  that decoding and computing took
    "error"         that was measured on this picture, where answers may have one

A picture that can't be answered is told as {"error": {"code", "message", ...}, "frame", "dropped"},
and the stream goes on. Otherwise it ends with one of these codes (RFC 6455, section 7.4):

    1001  the server is stopping               1007  a text message is no text
    1003  a text message of another form       1009  a message is longer than a body may be
    1011  the server failed on a picture
    1008  another client took the stream over, or nothing came for `Limits.stream_timeout`
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import msgspec
import orjson

from gristmill.core.quantities import format_seconds
from gristmill.serve.refusal import Refusal
from gristmill.serve.streams.frame import Frame
from gristmill.serve.streams.newest import Newest, Taken

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, MutableMapping, Sequence

    from gristmill.serve.protocols.plain import PlainAnswers
    from gristmill.serve.streams.driver import StreamDriver, Told
    from gristmill.serve.streams.tolerance import Tolerance
    from gristmill.serve.watch.tracing import Trace

    Message = MutableMapping[str, Any]

log = logging.getLogger("gristmill.serve")

_GOING_AWAY, _UNSUPPORTED, _POLICY, _FAILED = 1001, 1003, 1008, 1011
_MOST_REASON_BYTES = 120
_Side = Annotated[int, msgspec.Meta(ge=1)]


class _Form(msgspec.Struct, forbid_unknown_fields=True):
    """What a text message says of the pictures after it: nothing, or a size."""

    height: _Side | None = None
    width: _Side | None = None


class _End(NamedTuple):
    """Why a conversation ends."""

    code: int
    reason: str


class Conversation:
    """One client's stream, from the handshake's end to the last message.

    Args:
        driver: answers.
        stream: its name; a conversation that it has already is ended, as that of a camera whose
            connection broke without a word.
        write: puts an answer into the plain form.
        receive: gives the next message of ASGI.
        send: takes one.
        name: of the request that began it; predictions' ids begin with it.
        tolerance: how far answers may be from those in full.
        trace: its span, where spans are made: of each picture an event, and how many were answered.
    """

    def __init__(
        self,
        driver: StreamDriver,
        stream: str,
        write: PlainAnswers,
        receive: Callable[[], Awaitable[Message]],
        send: Callable[[Message], Awaitable[None]],
        name: str,
        tolerance: Tolerance,
        trace: Trace | None = None,
    ) -> None:
        self._driver, self._stream, self._write = driver, stream, write
        self._tolerance = tolerance
        self._trace, self._answered = trace, 0
        self._receive, self._send, self._name = receive, send, name
        self._newest: Newest[Frame] = Newest()
        self._ending: asyncio.Future[_End] = asyncio.get_running_loop().create_future()

    async def hold(self) -> None:
        """Read and answer until one side ends it."""
        driver, stream = self._driver, self._stream
        if stream in driver.open:
            driver.open[stream].end(_POLICY, "another client took this stream over")
        driver.open[stream] = self
        reading = asyncio.ensure_future(self._read())
        answering = asyncio.ensure_future(self._answer())
        try:
            both = [reading, answering]
            done, _ = await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
            if answering in done:
                code, reason = self._ending.result()
                await self._send({"type": "websocket.close", "code": code, "reason": reason})
        except OSError:
            log.debug("stream of %s: the client left", self._name)
        finally:
            if driver.open.get(stream) is self:
                del driver.open[stream]
            reading.cancel()
            answering.cancel()
            await asyncio.gather(reading, answering, return_exceptions=True)
            driver.count_dropped(self._newest.unread)

    def leave(self) -> None:
        """End it, since the server is stopping."""
        self.end(_GOING_AWAY, "the server is stopping")

    def end(self, code: int, reason: str) -> None:
        """End it with a code, after the picture that is being answered; the first call counts."""
        if not self._ending.done():
            self._ending.set_result(_End(code, reason))

    async def _read(self) -> None:
        """Take in messages for as long as the client is there."""
        limits = self._driver.served.limits
        raw, number = False, 0
        while True:
            try:
                async with asyncio.timeout(limits.stream_timeout):
                    message = await self._receive()
            except TimeoutError:
                seconds = format_seconds(limits.stream_timeout)
                self.end(_POLICY, f"nothing came for {seconds}")
                await asyncio.Event().wait()  # to be cancelled with what is being answered
            if message["type"] == "websocket.disconnect":
                return
            body = message.get("bytes")
            if body is not None:
                self._newest.put(Frame(body, raw, number))
                number += 1
                continue
            try:
                raw = self._is_raw(message["text"])
            except Refusal as refusal:
                self.end(_UNSUPPORTED, _short(refusal.message))

    def _is_raw(self, text: str) -> bool:
        form: _Form | None = None
        with suppress(msgspec.DecodeError, RecursionError):
            form = msgspec.json.decode(text, type=_Form)
        if form is None or (form.height is None) != (form.width is None):
            message = 'expected a picture, or {"height": number, "width": number} in a text message'
            raise Refusal(400, "wrong_form", message)
        if form.height is None or form.width is None:
            return False
        self._driver.check_size(form.height, form.width)
        return True

    async def _answer(self) -> None:
        """Answer the newest picture, again and again, until the conversation is to end."""
        while not self._ending.done():
            coming = asyncio.ensure_future(self._newest.wait())
            either: list[asyncio.Future[Any]] = [coming, self._ending]
            try:
                await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
            finally:
                coming.cancel()
            if self._ending.done():
                return
            await self._send({"type": "websocket.send", "text": (await self._next()).decode()})

    async def _next(self) -> bytes:
        """Answer one picture; return the message, and leave word if it is the last."""
        taken: list[Taken[Frame]] = []

        def take() -> Frame:
            taken.append(self._newest.take())
            return taken[0].value

        try:
            told = await self._driver.answer(
                self._stream, take, trace=self._trace, tolerance=self._tolerance
            )
            self._answered += 1
            if self._trace is not None:
                name, model = self._driver.served.name, told.answered.model
                self._trace.answered(name, model, self._answered, cached=0, degraded=False)
            prefix = f"p{told.answered.model[:8]}-{self._name}.{taken[0].value.number}-"
            return self._write.write(told.answered, prefix, _marks(taken) | marks_of(told))
        except Refusal as refusal:
            return orjson.dumps({**refusal.body(), **_marks(taken)})
        except Exception:
            log.exception("stream of %s failed", self._name)
            reason = f"the server failed; its log has the reason under {self._name}"
            self.end(_FAILED, _short(reason))
            return orjson.dumps({**Refusal(500, "internal", reason).body(), **_marks(taken)})
        finally:
            self._driver.count_dropped(sum(each.dropped for each in taken))


def _marks(taken: Sequence[Taken[Frame]]) -> dict[str, object]:
    return {} if not taken else {"frame": taken[0].value.number, "dropped": taken[0].dropped}


def marks_of(told: Told) -> dict[str, object]:
    """Return what stands in an answer beside the predictions."""
    marks: dict[str, object] = {
        "share": told.share,
        "whole": told.whole,
        "milliseconds": round(told.seconds * 1000, 3),
    }
    return marks if told.error is None else marks | {"error": told.error}


def _short(text: str) -> str:
    """Return a reason as a closing message can hold it (RFC 6455, section 5.5)."""
    return text.encode()[:_MOST_REASON_BYTES].decode(errors="ignore")
