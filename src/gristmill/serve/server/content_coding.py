"""Bodies that travel compressed: unpacked within a limit, packed where the client wants it.

Sources: RFC 9110, sections 8.4 and 12.5.3; RFC 1950 to 1952.
"""

from __future__ import annotations

import asyncio
import zlib
from functools import lru_cache
from typing import TYPE_CHECKING

from gristmill.serve.refusal import Refusal

if TYPE_CHECKING:
    from gristmill.serve.server.response import Response

CODINGS = ("gzip", "deflate")
WORTH_BYTES = 32_768
"""An answer below this is sent as it is: packing it would take longer than sending it."""

_SHORT_BYTES = 16_384
_SAMPLE_BYTES = 4096
_WORTH_RATIO = 0.8
_LEVEL = 1
_GZIP, _ZLIB, _RAW = 16 + zlib.MAX_WBITS, zlib.MAX_WBITS, -zlib.MAX_WBITS
_NAMES = {b"": "", b"identity": "", b"gzip": "gzip", b"x-gzip": "gzip", b"deflate": "deflate"}


def coding_of(said: bytes) -> str:
    """Return the coding that a `Content-Encoding` names; empty for a body as it is.

    Raises:
        Refusal: 415, another one, or several.
    """
    found = _NAMES.get(said.strip().lower())
    if found is None:
        raise Refusal(
            415,
            "wrong_content_encoding",
            f"expected a body as it is or as {' or '.join(CODINGS)}, "
            f"found {said.decode('latin-1')[:40]}",
            headers=[("Accept-Encoding", ", ".join(CODINGS))],
        )
    return found


async def unpacked(body: bytes, coding: str, limit: int) -> bytes | None:
    """Return the body that was packed; None if it is longer than `limit` bytes.

    Of one that is longer no more than `limit` and a byte are made.

    Raises:
        Refusal: 400, it is damaged, incomplete, or something follows it.
    """
    # What is short cannot take long: a byte becomes a thousand at most.
    if len(body) <= _SHORT_BYTES:
        return unpack(body, coding, limit)
    return await asyncio.to_thread(unpack, body, coding, limit)


def unpack(body: bytes, coding: str, limit: int) -> bytes | None:
    """Do the work of `unpacked`."""
    reader = zlib.decompressobj(_GZIP if coding == "gzip" else _deflated(body))
    try:
        made = reader.decompress(body, limit + 1)
    except zlib.error as error:
        raise _malformed(coding, str(error)) from None
    if len(made) > limit:
        return None
    if not reader.eof:
        raise _malformed(coding, "it ends too soon")
    if reader.unused_data:
        raise _malformed(coding, f"{len(reader.unused_data)} bytes follow its end")
    return made


async def pack(response: Response, accept: bytes) -> None:
    """Pack the body of an answer of at least `WORTH_BYTES`, if the client wants it and it pays.

    Args:
        response: changed in place.
        accept: the request's `Accept-Encoding`.
    """
    coding = accepted_coding(accept)
    if not coding:
        return
    sample = response.body[:_SAMPLE_BYTES]
    if len(zlib.compress(sample, _LEVEL)) > _WORTH_RATIO * len(sample):
        return
    response.body = await asyncio.to_thread(_packed, response.body, coding)
    response.headers += [(b"content-encoding", coding.encode()), (b"vary", b"Accept-Encoding")]


@lru_cache(maxsize=128)
def accepted_coding(said: bytes) -> str:
    """Return the first of `CODINGS` that an `Accept-Encoding` names; empty if it names none."""
    names = set()
    for part in said.decode("latin-1")[:500].lower().split(","):
        name, _, rest = part.partition(";")
        quality = rest.replace(" ", "").removeprefix("q=")
        if not quality or quality.strip("0."):
            names.add(name.strip())
    return next((coding for coding in CODINGS if coding in names), "")


def _packed(body: bytes, coding: str) -> bytes:
    writer = zlib.compressobj(_LEVEL, wbits=_GZIP if coding == "gzip" else _ZLIB)
    return writer.compress(body) + writer.flush()


def _deflated(body: bytes) -> int:
    """Return the form of a `deflate` body: with zlib's header as it should be, or without."""
    header = int.from_bytes(body[:2], "big")
    return _ZLIB if header % 31 == 0 and header >> 8 & 15 == zlib.DEFLATED else _RAW


def _malformed(coding: str, why: str) -> Refusal:
    return Refusal(400, "malformed_body", f"the body is no {coding}: {why}")
